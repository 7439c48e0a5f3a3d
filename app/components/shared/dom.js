// Elements without a framework: their construction, dialogs, and messages. Text always arrives as text nodes, never as markup.

/** @import { Child, Failure, Props, Root } from "./types.d.ts" */

/**
 * Return an element; `props` may hold class, style and dataset objects, on* listeners, attributes and properties.
 *
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Props} props
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  /** @type {Record<string, any>} */
  const properties = element;
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else if (name === "style" || name === "dataset") assign(properties[name], value);
    else if (name.includes("-") || name === "role" || name === "for") element.setAttribute(name, value);
    else properties[name] = value;
  }
  element.append(...nodesOf(children));
  return element;
}

/** @param {Record<string, any>} target @param {Record<string, any>} values */
function assign(target, values) {
  for (const [name, value] of Object.entries(values)) {
    if (name.startsWith("--")) target.setProperty(name, value);
    else target[name] = value;
  }
}

/** Return the nodes and texts of a content. @param {readonly Child[]} children @returns {(Node | string)[]} */
function nodesOf(children) {
  const flat = /** @type {Exclude<Child, readonly Child[]>[]} */ (/** @type {unknown[]} */ (children).flat(Infinity));
  return flat.filter((child) => child !== null && child !== undefined && child !== false);
}

/**
 * Return an SVG element with these attributes.
 *
 * @template {keyof SVGElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, string>} attributes
 * @param {...Node} children
 * @returns {SVGElementTagNameMap[Tag]}
 */
export function shape(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Replace the content of `element`. @param {Element} element @param {...Child} children */
export function fill(element, ...children) {
  element.replaceChildren(...nodesOf(children));
}

/** Return the element with the keyboard focus in the document or shadow tree of an element. @param {Node} element @returns {HTMLElement | null} */
export function focusedBeside(element) {
  return /** @type {HTMLElement | null} */ (/** @type {Document | ShadowRoot} */ (element.getRootNode()).activeElement);
}

/** Take a pointer's press without the keyboard's focus, so that the keys go on to the image. @param {Event} event */
export const keepFocus = (event) => event.preventDefault();

/** Return a `<kbd>` with readable key caps. @param {string} text */
export function keycap(text) {
  return h("kbd", {}, text);
}

/**
 * Open a modal dialog inside `root`; it is removed when it closes.
 *
 * @param {Root} root
 * @param {{ label: string, className?: string, onclose?: () => void }} options
 * @param {...Child} children
 * @returns {HTMLDialogElement}
 */
export function openDialog(root, { label, className = "", onclose = () => {} }, ...children) {
  const before = "activeElement" in root ? /** @type {HTMLElement | null} */ (root.activeElement) : null;
  const dialog = h("dialog", { class: `dialog ${className}`, "aria-label": label }, ...children);
  dialog.addEventListener("close", () => {
    dialog.remove();
    before?.focus?.({ preventScroll: true });
    onclose();
  });
  dialog.addEventListener("pointerdown", (event) => {
    const { left, right, top, bottom } = dialog.getBoundingClientRect();
    const inside = event.clientX >= left && event.clientX <= right && event.clientY >= top && event.clientY <= bottom;
    if (event.target === dialog && !inside) dialog.close(); // the backdrop; not the dialog's own edge or scroll bar
  });
  (root.querySelector(".outfold") ?? root).append(dialog);
  dialog.showModal();
  return dialog;
}

/** Return an error message with a button that tries again. @param {Failure} error @param {() => unknown} again */
export function troubleState(error, again, label = "Try again") {
  return h("div", { class: "empty-state trouble", role: "alert" }, h("h2", {}, error.message), h("p", {}, error.cure ?? ""), h("button", { type: "button", class: "primary", onclick: again }, label));
}

const SHOWN_MS = 6000;

/** Button of a toast about acts that wait for a deleted dataset or round. */
export const TO_DATASETS = { label: "Datasets", run: () => location.assign(new URL("datasets", location.href)) };

export class Toast {
  constructor() {
    /** @type {Element | null} Parent while no dialog is open. */
    this.home = null;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    this.passing = false;
    this.element = h("div", { class: "toast", role: "status", hidden: true });
  }

  /**
   * Show a text; `action` is {label, run}; a `passing` message is hidden by the next act.
   *
   * @param {string} text
   * @param {{ label: string, run: () => unknown } | null} [action]
   * @param {{ sticky?: boolean, warning?: boolean, passing?: boolean }} [options]
   */
  say(text, action = null, { sticky = false, warning = false, passing = false } = {}) {
    clearTimeout(this.timer);
    this.passing = passing;
    this.#come();
    this.element.classList.toggle("warning", warning);
    fill(this.element, h("span", {}, text),
      action && h("button", { type: "button", onclick: () => { this.hide(); action.run(); } }, action.label));
    this.element.hidden = false;
    if (!sticky) this.timer = setTimeout(() => this.hide(), SHOWN_MS);
  }

  /** Another act has been done: an offer about the one before it would mean the wrong one. */
  pass() {
    if (this.passing) this.hide();
  }

  hide() {
    clearTimeout(this.timer);
    this.element.hidden = true;
  }

  /** Move into the open dialog, which covers the page, and back when it closes. */
  #come() {
    this.home ??= this.element.parentElement;
    const dialog = this.home?.querySelector("dialog[open]");
    if (!dialog || this.element.parentElement === dialog) return;
    dialog.append(this.element);
    dialog.addEventListener("close", () => this.home?.append(this.element), { once: true });
  }
}
