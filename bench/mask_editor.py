"""How fast the mask editor paints and saves, in a real browser at two image sizes, with the overlay and contours shown.

"handled" is what one pointer move costs in JavaScript, "painted" goes on until the frame it is seen in has been handed
over, "saved" is one request with the whole mask, from its start to the server's answer. All on the page's own clock, in
milliseconds; the moves come every few milliseconds, as from a fast mouse.
"""

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from bench.ui_browser import BROWSERS
from tests.app.masked import prepare  # a finished round on drawn scenes, without training

READY = ".mask-editor[data-ready='true']"
SAVED = ".status[data-unsaved='0'][data-state='saved']"
PATIENCE_MS = 60_000
SIZES = ((480, 360), (2048, 1024))
TARGETS = {(480, 360): (8.0, 19.0), (2048, 1024): (15.0, 28.0)}  # painted, p50 and p95, ms
SAVE_TARGETS = (31.0, 153.0)

# Notes each move of a stroke: how long the handlers took, and when its frame had been handed over.
PROBE = """
window.probe = { handled: [], painted: [] };
let begun = 0;
addEventListener('pointermove', () => { begun = performance.now(); }, true);
addEventListener('pointermove', (event) => {
  if (!event.buttons) return;
  const at = begun;
  window.probe.handled.push(performance.now() - at);
  requestAnimationFrame(() => {
    const channel = new MessageChannel();
    channel.port1.onmessage = () => window.probe.painted.push(performance.now() - at);
    channel.port2.postMessage(null);
  });
});
"""

SAVES = """performance.getEntriesByType('resource')
  .filter(({ name }) => /masks.[0-9]+$/.test(name)).map(({ duration }) => duration)"""


def main() -> None:
    """Measure, print, and write the figures where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--strokes", type=int, default=12, help="strokes at each size, 40 moves each")
    parser.add_argument("--brush", type=int, default=24, help="brush size in image pixels")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    chosen = parser.parse_args()
    figures: dict[str, Any] = {}
    for width, height in SIZES:
        with (
            tempfile.TemporaryDirectory(prefix="outfold-bench-") as folder,
            serving(Path(folder), width, height) as url,
        ):
            measured = measure(url, chosen.strokes, chosen.brush)
        figures[f"{width}x{height}"] = measured
        print_table(width, height, measured)
    if chosen.json:
        chosen.json.write_text(json.dumps(figures, indent=2), encoding="utf-8")


def measure(url: str, strokes: int, brush: int) -> dict[str, float]:
    """Return p50 and p95 of every figure over these strokes."""
    with sync_playwright() as playwright:
        found = next(filter(None, map(shutil.which, BROWSERS)), None)
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        try:
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.context.add_cookies([{"name": "outfold_name", "value": "bench", "url": url}])
            settings = json.dumps({"fill": True, "contour": True, "opacity": 0.5, "size": brush})
            page.add_init_script(f"localStorage.setItem('outfold.masks.view', {json.dumps(settings)});{PROBE}")
            page.goto(f"{url}/masks?round=1")
            page.wait_for_selector(READY, timeout=PATIENCE_MS)
            measured = _draw(page, strokes)
        finally:
            browser.close()
    return {
        f"{name}_ms_{label}": round(float(np.percentile(values, percent)), 1)
        for name, values in measured.items()
        for label, percent in (("p50", 50), ("p95", 95))
    }


def _draw(page: Page, strokes: int) -> dict[str, list[float]]:
    box = page.locator(".sheet").bounding_box()
    if box is None:
        message = "the image is not on the page"
        raise RuntimeError(message)
    random = np.random.default_rng(0)
    for turn in range(strokes):
        page.keyboard.press(str(1 + turn % 5))
        ends = random.uniform(0.05, 0.95, (3, 2)) * (box["width"], box["height"]) + (box["x"], box["y"])
        page.mouse.move(*ends[0])
        page.mouse.down()
        for end in ends[1:]:
            page.mouse.move(*end, steps=20)
        page.mouse.up()
        page.wait_for_selector(SAVED, timeout=PATIENCE_MS)
    measured: dict[str, list[float]] = page.evaluate("probe")
    measured["saved"] = page.evaluate(SAVES)
    if len(measured["saved"]) < strokes:
        message = f"{len(measured['saved'])} of {strokes} strokes were saved"
        raise RuntimeError(message)
    return measured


@contextmanager
def serving(folder: Path, width: int, height: int) -> Iterator[str]:
    """Serve scenes of this size with the real app while the block runs."""
    prepare(folder / "home", folder / "scenes", 2, width=width, height=height)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = {"OUTFOLD_HOME": str(folder / "home"), "OUTFOLD_DEMO": "false", "OUTFOLD_EMBEDDED_WORKER": "false"}
    command = [sys.executable, "-m", "streamlit", "run", "streamlit_app.py", f"--server.port={port}"]
    server = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **own}, stdout=subprocess.DEVNULL)
    try:
        _wait(f"http://127.0.0.1:{port}", server)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(30)


def _wait(url: str, server: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + PATIENCE_MS / 1000
    while server.poll() is None and time.monotonic() < until:
        try:
            with urllib.request.urlopen(f"{url}/outfold/health", timeout=2):  # noqa: S310 of this machine
                return
        except OSError:
            time.sleep(0.1)
    message = "the app did not start; run `streamlit run streamlit_app.py` to see why"
    raise RuntimeError(message)


def print_table(width: int, height: int, measured: dict[str, float]) -> None:
    """Print the figures with their targets, p50 / p95."""
    print(f"\n{width} x {height}{'':<14}{'p50':>8}{'p95':>8}{'target':>16}")
    for name in ("handled", "painted", "saved"):
        targets = {"painted": TARGETS[width, height], "saved": SAVE_TARGETS}.get(name)
        p50, p95 = measured[f"{name}_ms_p50"], measured[f"{name}_ms_p95"]
        told = ""
        if targets:
            reached = p50 <= targets[0] and p95 <= targets[1]
            told = f"{targets[0]:8.0f} / {targets[1]:.0f}  {'reached' if reached else 'MISSED'}"
        print(f"  {name:<22}{p50:>8.1f}{p95:>8.1f}{told}")


if __name__ == "__main__":
    main()
