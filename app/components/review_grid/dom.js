// Building elements without a framework. Text always arrives as text nodes, never as markup.

/** Return an element; `props` may hold class, style and dataset objects, on* listeners, attributes and properties. */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else if (name === "style" || name === "dataset") assign(element[name], value);
    else if (name.includes("-") || name === "role" || name === "for") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

function assign(target, values) {
  for (const [name, value] of Object.entries(values)) {
    if (name.startsWith("--")) target.setProperty(name, value);
    else target[name] = value;
  }
}

/** Replace everything inside `element`. */
export function fill(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
}

/** Return a `<kbd>` with readable key caps. */
export function keycap(text) {
  return h("kbd", {}, text);
}

/** Open a modal dialog inside `root`; it is removed when it closes. Returns the dialog element. */
export function openDialog(root, { label, className = "", onclose = () => {} }, ...children) {
  const before = root.activeElement;
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
