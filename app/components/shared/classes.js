// Classes of a dataset: one array of names that all parts of a page share, comparison of names, and names where there is little room.

import { h } from "./dom.js";
/** @import { ClassId, ClassNames, Classes, Props } from "./types.d.ts" */

const LONGEST_NAME = 100; // characters, as the server counts
// eslint-disable-next-line no-control-regex -- Python's `str.strip` removes these as well
const BLANKS = /^[\p{White_Space}\x1c-\x1f]+|[\p{White_Space}\x1c-\x1f]+$/gu;
const CONTROL = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}]/u;
const SHORT = 14; // characters that are never cut
const TAIL = 7;
const LETTERS = 4; // of a row or column of the matrix
const LEAST = 6; // a shorter beginning in common is not worth an ellipsis

/** @type {WeakMap<string[], number>} */
const known = new WeakMap(); // classes -> the number of characters that all of them begin with, as far as whole words go

/** Return names by id whose `offered` are the ids to choose from, in the order of listing. @param {ClassNames} list @returns {Classes} */
export function shareClasses({ classes, offered }) {
  return Object.assign([...classes], { offered: [...offered] });
}

/** Update shared classes in place; returns whether anything differed. @param {Classes} shared @param {ClassNames} fresh */
export function renewClasses(shared, { classes, offered }) {
  if (sameItems(shared, classes) && sameItems(offeredOf(shared), offered)) return false;
  shared.splice(0, shared.length, ...classes);
  shared.offered = [...offered];
  known.delete(shared);
  return true;
}

/** Return whether two lists hold the same values in the same order. @param {unknown[]} first @param {unknown[]} second */
export const sameItems = (first, second) => first.length === second.length && first.every((value, place) => value === second[place]);

/** Return the ids to choose from, in the order of listing; of a plain list of names, all of them. @param {Classes} classes */
export const offeredOf = (classes) => classes.offered ?? [...classes.keys()];

/**
 * Return a name as names are compared: without case, in the composed form of Unicode. The same as `fold_name` of
 * core/judge/class_acts.py, which folds case; JavaScript has no case folding, but this order of conversions gives it.
 *
 * @param {string} name
 */
export function foldName(name) {
  const folded = [...name.normalize("NFC")].map((letter) => (letter === "\u0131" ? letter : letter.toLowerCase().toUpperCase().toLowerCase()));
  return folded.join("").normalize("NFC");
}

/** Return a name without blanks around it, in the composed form of Unicode; null if it cannot be a class's. @param {string} text */
export function cleanName(text) {
  const name = text.normalize("NFC").replace(BLANKS, "");
  return !name || [...name].length > LONGEST_NAME || CONTROL.test(name) ? null : name;
}

/**
 * Return the name of a class to add for a typed text; null if a class of that name is offered, or the name is invalid.
 *
 * @param {string} query
 * @param {Classes} classes
 * @returns {string | null}
 */
export function newName(query, classes) {
  const name = cleanName(query);
  if (name === null) return null;
  const folded = foldName(name);
  return offeredOf(classes).some((id) => foldName(classes[id]) === folded) ? null : name;
}

/** Return the name of a class, "no label" for -1. @param {Classes} classes @param {ClassId | null} id */
export const className = (classes, id) => (id === -1 || id === null ? "no label" : (classes[id] ?? `class ${id}`));

/**
 * Return how many characters all class names begin with, up to the last space, dash, slash, dot or underscore among them.
 *
 * @param {string[]} classes
 */
export function sharedBeginning(classes) {
  const counted = known.get(classes) ?? countShared(classes);
  known.set(classes, counted);
  return counted;
}

/** @param {string[]} classes */
function countShared(classes) {
  if (classes.length < 2) return 0;
  const [first, last] = [classes.reduce((a, b) => (a < b ? a : b)), classes.reduce((a, b) => (a > b ? a : b))]; // a beginning that both share is shared by all
  let at = 0;
  while (at < first.length && first[at] === last[at]) at += 1;
  const begun = first.slice(0, at);
  return 1 + Math.max(...[" ", "_", "-", "/", "."].map((between) => begun.lastIndexOf(between)));
}

/** Return a class's name, a long one without the beginning that all names share. @param {Classes} classes @param {ClassId | null} id */
export function distinctName(classes, id) {
  const name = className(classes, id);
  const shared = sharedBeginning(classes);
  return [...name].length > SHORT && shared >= LEAST && id !== null && classes[id] === name ? `…${name.slice(shared)}` : name;
}

/**
 * Return a class's name as an element; of a long one without room the distinct beginning and the end are left.
 *
 * @param {Classes} classes
 * @param {ClassId} id
 * @param {keyof HTMLElementTagNameMap} tag
 * @param {Props} attributes
 */
export function nameElement(classes, id, tag = "span", attributes = {}) {
  const name = className(classes, id);
  const rest = [...distinctName(classes, id)];
  if ([...name].length <= SHORT) return h(tag, { title: name, ...attributes }, name);
  const parts = rest.length <= SHORT ? rest.join("") : [h("span", { class: "head" }, rest.slice(0, -TAIL).join("")), h("span", { class: "tail" }, rest.slice(-TAIL).join(""))];
  return h(tag, { title: name, "aria-label": name, ...attributes, class: `${attributes.class ?? ""}${Array.isArray(parts) ? " long" : ""}`.trim() }, parts);
}

/** Return the element of a given class. @param {Classes} classes @param {ClassId} id */
export const givenName = (classes, id) => nameElement(classes, id, "span", { class: id === -1 ? "given nothing" : "given" });

/** Return the element of a suggested class. @param {Classes} classes @param {ClassId} id */
export const suggestedName = (classes, id) => nameElement(classes, id, "b", { class: "suggested" });

/** Return a few letters of each class that differ from those of all others, where a few can. @param {string[]} classes */
export function lettersOf(classes) {
  const rests = classes.map((name) => [...name.slice(sharedBeginning(classes))]);
  const taken = rests.map((letters) => letters.slice(0, LETTERS).join(""));
  return taken.map((some, id) => {
    const alike = rests.filter((_, other) => taken[other] === some);
    if (alike.length < 2) return some;
    const at = rests[id].findIndex((letter, place) => place >= LETTERS && alike.some((other) => other[place] !== letter));
    return at < 0 ? some : [rests[id][0], "…", ...rests[id].slice(at, at + LETTERS - 2)].join("");
  });
}
