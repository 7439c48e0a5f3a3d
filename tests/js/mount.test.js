// A component is mounted once in its root, whatever Streamlit calls meanwhile.

import assert from "node:assert/strict";
import { test } from "node:test";

globalThis.document = { querySelector: () => null };
globalThis.addEventListener = () => {};
const { mountComponent } = await import("../../app/components/shared/mount.js");

function view(name, log) {
  return { name, element: { style: { setProperty() {} } }, stop: new AbortController(), unmount: () => log.push(`${name} unmounted`) };
}

const root = () => ({ append() {} });

test("a rerun that asks for the same leaves the view alone", () => {
  const [at, log] = [root(), []];
  const open = (entry) => entry.show(() => view("first", log));
  const cleanup = mountComponent(at, 1, open);
  assert.equal(mountComponent(at, 1, () => assert.fail("opened twice")), cleanup);
  assert.equal(mountComponent(at, 2, () => assert.fail("opened what is shown"), ({ name }) => name === "first"), cleanup);
  assert.deepEqual(log, []);
});

test("another wish unmounts the old view first, and what opens late finds that it is gone", async () => {
  const [at, log] = [root(), []];
  let ready = null;
  const late = new Promise((resolve) => { ready = resolve; });
  mountComponent(at, 1, async (entry) => {
    entry.onGone = () => log.push("gone");
    await late;
    log.push(entry.gone);
  });
  mountComponent(at, 2, (entry) => entry.show(() => view("second", log)));
  ready();
  await late;
  assert.deepEqual(log, ["gone", true]);
});

test("a view follows another one of the same component only after its unmounting", () => {
  const log = [];
  const cleanup = mountComponent(root(), 1, (entry) => {
    entry.onGone = () => log.push("gone");
    entry.show(() => view("first", log));
    entry.show(() => (log.push("built"), view("second", log)));
  });
  cleanup();
  assert.deepEqual(log, ["first unmounted", "built", "second unmounted", "gone"]);
});
