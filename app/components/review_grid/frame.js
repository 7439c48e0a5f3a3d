// A component that fills the window keeps below Streamlit's header, whatever the header's height.

/** Set `--top` on the element now and whenever the header changes, until `signal` aborts. */
export function keepBelowHeader(element, signal) {
  const header = document.querySelector('[data-testid="stHeader"]');
  const measure = () => element.style.setProperty("--top", `${Math.max(0, header?.getBoundingClientRect().bottom ?? 0)}px`);
  measure();
  if (!header) return;
  const observer = new ResizeObserver(measure);
  observer.observe(header);
  signal.addEventListener("abort", () => observer.disconnect());
}
