"""Latency of a verdict in a real browser: from the key to the painted card, and to "saved".

`measure(url)` opens a review page and presses keys at a pace no person keeps up. "Seen" ends with the frame in which
the card carries its badge, "stored" with the line "saved" for that key, both on the page's own clock in milliseconds.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tools.fixtures.browser import wait_for

READY = ".outfold[data-ready='true'] .card.focus"
SAVED = ".status[data-unsaved='0'][data-state='saved']"
PATIENCE_MS = 60_000
BROWSERS = ("chromium", "chromium-browser", "google-chrome")

# Runs before the page's own scripts, since the grid stops the propagation of keys that it uses: notes the end of the
# frame after each key, and the moments when nothing is unsaved.
PROBE = """
(() => {
  const waiting = [];
  let watched = null;
  window.probe = { seen: [], stored: [] };
  const watch = () => {
    const components = [...document.querySelectorAll('[data-testid=stBidiComponentIsolated]')];
    watched = components.map((one) => one.shadowRoot?.querySelector('.status')).find(Boolean);
    new MutationObserver(() => {
      if (watched.dataset.unsaved !== '0' || watched.dataset.state !== 'saved') return;
      for (const at of waiting.splice(0)) window.probe.stored.push(performance.now() - at);
    }).observe(watched, { attributes: true, childList: true });
  };
  window.addEventListener('keydown', (event) => {
    if (!watched) watch();
    const at = event.timeStamp;
    waiting.push(at);
    requestAnimationFrame(() => {
      const channel = new MessageChannel();
      channel.port1.onmessage = () => window.probe.seen.push(performance.now() - at);
      channel.port2.postMessage(null);
    });
  }, true);
})()
"""


def measure(url: str, keys: Sequence[str] = ("a", "k", "x", "b", "3") * 40, pause_ms: float = 125) -> dict[str, float]:
    """Return p50 and p95 of seen and stored over these keys on the review page at `url`, or a server's newest round.

    Raises:
        RuntimeError: a key was not stored.
    """
    with sync_playwright() as playwright:
        found = next(filter(None, map(shutil.which, BROWSERS)), None)
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        try:
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            origin = "{0.scheme}://{0.netloc}".format(urlsplit(url))
            page.context.add_cookies([{"name": "outfold_name", "value": "bench", "url": origin}])
            page.add_init_script(PROBE)
            page.goto(url if urlsplit(url).path.strip("/") else f"{origin}/review")
            page.wait_for_selector(READY, timeout=PATIENCE_MS)
            return _summary(_press(page, keys, pause_ms), len(keys))
        finally:
            browser.close()


def _press(page: Page, keys: Sequence[str], pause_ms: float) -> dict[str, list[float]]:
    for key in keys:
        page.keyboard.press(key)
        page.wait_for_timeout(pause_ms)
    page.wait_for_selector(SAVED, timeout=PATIENCE_MS)
    wait_for(page, "keys => probe.seen.length >= keys", len(keys), patience_ms=PATIENCE_MS)
    measured: dict[str, list[float]] = page.evaluate("probe")
    return measured


def _summary(measured: dict[str, list[float]], keys: int) -> dict[str, float]:
    if len(measured["stored"]) != keys:
        msg = f"{len(measured['stored'])} of {keys} keys were stored"
        raise RuntimeError(msg)
    return {
        f"{name}_ms_{label}": round(float(np.percentile(values, percent)), 1)
        for name, values in measured.items()
        for label, percent in (("p50", 50), ("p95", 95))
    }


def main() -> None:
    """Measure a running server."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("url", help="a review page, e.g. http://127.0.0.1:8501/review?round=1")
    parser.add_argument("--keys", type=int, default=200, help="how many verdicts")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    chosen = parser.parse_args()
    pattern = ("a", "k", "x", "b", "3")
    figures: dict[str, Any] = measure(chosen.url, [pattern[index % 5] for index in range(chosen.keys)])
    for name, value in figures.items():
        print(f"{name:16} {value:8.1f}")
    if chosen.json:
        chosen.json.write_text(json.dumps(figures, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
