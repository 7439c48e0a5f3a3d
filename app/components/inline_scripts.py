"""Inline scripts of pages: constants, so that the content security policy can name their hashes.

Values that differ between pages are in attributes of the HTML beside the script, never in the script.
"""

import streamlit as st

ADDRESS = """
  // What a page adds to its own address, the dataset and the round it shows, is not a step of the browser's way back.
  if (!history.outfold) {
    history.outfold = true;
    const push = history.pushState.bind(history);
    const replace = history.replaceState.bind(history);
    const change = (write) => (state, title, url) => {
      const next = new URL(url ?? "", location.href);
      const now = new URLSearchParams(location.search);
      const kept = [...now].every(([name, value]) => next.searchParams.get(name) === value);
      const added = [...next.searchParams.keys()].filter((name) => !now.has(name));
      const own = added.length > 0 && added.every((name) => ["dataset", "round"].includes(name));
      const completes = next.pathname === location.pathname && kept && own;
      const takesNeither = ["/", "/datasets"].some((end) => location.pathname.endsWith(end));
      if (completes && takesNeither) return; // of the page that was left a moment ago, or is about to be shown
      (completes ? replace : write)(state, title, url);
    };
    history.pushState = change(push);
    history.replaceState = change(replace); // Streamlit writes with it right after Back
  }
"""
TOASTS = """
  // Streamlit's toast is a dialog labelled by a title that it does not have; its text takes that id.
  if (!document.outfoldToasts) {
    document.outfoldToasts = true;
    const name = () => {
      for (const toast of document.querySelectorAll(".stToast[aria-labelledby]")) {
        const text = toast.querySelector("[data-testid=stToastText]");
        if (text) text.id ||= toast.getAttribute("aria-labelledby");
      }
    };
    const toasts = new MutationObserver(name);
    const appear = () => {
      const region = document.querySelector("body > .stToastContainer");
      if (region) toasts.observe(region, { childList: true, subtree: true });
      name();
    };
    new MutationObserver(appear).observe(document.body, { childList: true }); // no card drawn anew is looked at
    appear();
  }
"""
INTO_VIEW = """
  for (const mark of document.querySelectorAll("[data-into-view]")) {
    document.querySelector(mark.dataset.intoView)?.scrollIntoView({ block: "start" });
    mark.remove();
  }
"""
SCROLLED_BY_KEYS = """
  for (const mark of document.querySelectorAll("[data-scrolled]")) {
    const label = { tabIndex: 0, role: "region", ariaLabel: mark.dataset.label };
    Object.assign(document.querySelector(mark.dataset.scrolled) ?? {}, label);
  }
"""
SCRIPTS = (ADDRESS, TOASTS, INTO_VIEW, SCROLLED_BY_KEYS)


def draw_html_with(*scripts: str, html: str = "") -> None:
    """Draw HTML and run scripts of `SCRIPTS` after it."""
    st.html(html + "".join(f"<script>{script}</script>" for script in scripts), unsafe_allow_javascript=True)
