// Life of a component in a Streamlit page: mounted once in its root element, left alone by reruns that ask for the same.

/** @import { Entry, MountedView } from "./types.d.ts" */

/** @type {WeakMap<HTMLElement, Entry<MountedView>>} */
const mounted = new WeakMap(); // the component's root -> its entry

/**
 * Mount a component in `root`, or bring it up to date; returns the clean-up for its unmounting.
 *
 * @template {MountedView} View
 * @param {HTMLElement} root
 * @param {unknown} wanted Identity of the wanted view.
 * @param {(entry: Entry<View>) => unknown} open Shows a view at once or later, unless the component is gone.
 * @param {(view: View) => boolean} isShown Returns whether a view that a person navigated to already shows that.
 * @returns {() => void}
 */
export function mountComponent(root, wanted, open, isShown = () => false) {
  const present = /** @type {Entry<View> | undefined} */ (mounted.get(root));
  if (present && (present.wanted === wanted || (present.view && isShown(present.view)))) {
    present.wanted = wanted;
    return present.cleanup;
  }
  present?.cleanup();
  /** @type {Entry<View>} */
  const entry = {
    wanted, view: null, gone: false, onGone: () => {},
    show(build) {
      entry.view?.unmount();
      const view = build();
      entry.view = view;
      root.append(view.element);
      keepBelowHeader(view.element, view.stop.signal);
      return view;
    },
    cleanup() {
      entry.gone = true;
      entry.view?.unmount();
      if (mounted.get(root) === entry) mounted.delete(root);
      entry.onGone();
    },
  };
  mounted.set(root, entry); // before anything is waited for: Streamlit may call again at once
  open(entry);
  return entry.cleanup;
}

/**
 * Keep an element that fills the window below Streamlit's header, whatever the header's height, until `signal` aborts.
 *
 * @param {HTMLElement} element
 * @param {AbortSignal} signal
 */
function keepBelowHeader(element, signal) {
  const header = document.querySelector('[data-testid="stHeader"]');
  const measure = () => element.style.setProperty("--top", `${Math.max(0, header?.getBoundingClientRect().bottom ?? 0)}px`);
  measure();
  if (!header) return;
  const observer = new ResizeObserver(measure);
  observer.observe(header);
  signal.addEventListener("abort", () => observer.disconnect());
}
