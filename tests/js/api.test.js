import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

import { ApiError, createCalls, errorText } from "../../app/components/shared/api.js";

test("a refusal and its cure are two parts of one text, as the server writes them", () => {
  assert.equal(errorText({ error: "this act is undone already", cure: "reload the page" }), "this act is undone already; reload the page");
  assert.equal(errorText(new ApiError(400, { error: "no class is marked", cure: "mark one" })), "no class is marked; mark one");
  assert.equal(errorText(new ApiError(500, {})), "The server answered 500.");
  assert.equal(errorText(new Error("out of memory")), "out of memory");
});

test("after a whole sentence comes the next one", async () => {
  const { call } = createCalls("", () => Promise.reject(new Error("away")));
  const error = await call("/me").catch((failed) => failed);
  assert.equal(errorText(error), "The server cannot be reached. The request is repeated automatically.");
});

test("a message and a cure are joined by the same rule everywhere", () => {
  const folder = new URL("../../app/components/", import.meta.url);
  const modules = readdirSync(folder, { recursive: true }).filter((name) => name.endsWith(".js"));
  assert.ok(modules.length > 20);
  for (const name of modules) assert.doesNotMatch(readFileSync(new URL(name, folder), "utf8"), /\$\{error\.cure/, name);
});
