"""Speed of the mask editor in a real browser at three image sizes, with the overlay and contours shown.

"opened" is from the first request for an image to an editor that can be painted in, "handled" the JavaScript of one
pointer move, "painted" from an event until the frame that shows it has been handed over, "moved" and "zoomed" from one
frame to the next meanwhile, "saved" one request from its start to the server's answer, "saved_across" that of a stroke
across the whole image. All on the page's own clock, in milliseconds; the moves come every few milliseconds, as from a
fast mouse.

Each size ends with the same small change packed and sent as tiles and as a whole mask, in turn, to the same server: the
ratio says what tiles save.
"""

import argparse
import json
import os
import platform
import re
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
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from bench.ui_browser import BROWSERS
from tools.fixtures.browser import wait_for
from tools.fixtures.scenes import prepare  # a finished round on drawn scenes, without training

READY = ".mask-editor[data-ready='true']"
SAVED = ".status[data-unsaved='0'][data-state='saved']"
PATIENCE_MS = 120_000
SIZES = ((480, 360), (2048, 1024), (8192, 8192))
OPENINGS, TURNS = 3, 5  # with an empty cache; sendings each way
FRAMES = 60  # of moving, and of zooming
LIMIT_MS = {  # p50 and p95
    (480, 360): {"painted": (8, 19), "saved": (31, 153)},
    (2048, 1024): {"painted": (15, 28), "saved": (31, 153)},
    (8192, 8192): {
        "opened": (1500, 1500), "painted": (20, 60), "moved": (33, 33), "zoomed": (33, 33), "saved": (300, 300),
    },
}  # fmt: skip

# Notes each move of a stroke, each event that was announced and, while `frames` is set, each frame.
PROBE = """
window.probe = { handled: [], painted: [], opened: [] };
let begun = 0;
const handedOver = (run) => requestAnimationFrame(() => {
  const channel = new MessageChannel();
  channel.port1.onmessage = run;
  channel.port2.postMessage(null);
});
addEventListener('pointermove', () => { begun = performance.now(); }, true);
addEventListener('pointermove', (event) => {
  if (!event.buttons || window.frames_of) return;
  const at = begun;
  window.probe.handled.push(performance.now() - at);
  handedOver(() => window.probe.painted.push(performance.now() - at));
});
for (const kind of ['keydown', 'pointerdown']) {
  addEventListener(kind, () => { // before the editor's own listeners, which let nothing through
    const { announced } = window;
    if (announced?.kind !== kind) return;
    window.announced = null;
    const at = performance.now();
    handedOver(() => (window.probe[announced.name] ??= []).push(performance.now() - at));
  }, true);
}
let last = 0;
const tick = (now) => {
  if (window.frames_of) (window.probe[window.frames_of] ??= []).push(now - last);
  last = now;
  requestAnimationFrame(tick);
};
requestAnimationFrame(tick);
window.inEditor = (selector) => [...document.querySelectorAll('[data-testid=stBidiComponentIsolated]')]
  .map((host) => host.shadowRoot?.querySelector(`.mask-editor${selector}`)).find(Boolean);
const ready = () => {
  if (!inEditor("[data-ready='true']")) return void requestAnimationFrame(ready);
  const asked = performance.getEntriesByType('resource').find(({ name }) => /masks.[0-9]+.round/.test(name));
  window.probe.opened.push(performance.now() - asked.startTime);
};
requestAnimationFrame(ready);
"""

SAVES = """performance.getEntriesByType('resource')
  .filter(({ name }) => /masks.[0-9]+$/.test(name)).map(({ duration }) => duration)"""

# Pack and send the same changed pixel as a tile and as a whole mask, in turn; returns the milliseconds of each.
BOTH_WAYS = """async ([base, sample, turns]) => {
  const module = (name) => performance.getEntriesByType('resource').find(({ name: url }) => url.endsWith(name)).name;
  const { packTiles, readMask } = await import(module('/mask_editor/api.js'));
  const about = await (await fetch(`${base}/masks/${sample}`)).json();
  const answer = await fetch(`${base}/masks/${sample}/labels`);
  const labels = await readMask(new Uint8Array(await answer.arrayBuffer()), about);
  let version = answer.headers.get('x-outfold-version');
  const found = { tiles: [], whole: [], sent_tiles: 0, sent_whole: 0 };
  for (let turn = 0; turn < 2 * turns; turn += 1) {
    const tiles = turn % 2 === 0;
    labels[0] = turn % 3;
    labels[1] = turn % 2;
    const began = performance.now();
    const [width, height] = [Math.min(64, about.width), Math.min(64, about.height)];
    const tile = new Uint8Array(width * height);
    for (let y = 0; y < height; y += 1) tile.set(labels.subarray(y * about.width, y * about.width + width), y * width);
    const whole = () => new Response(new Blob([labels.slice()]).stream().pipeThrough(new CompressionStream('deflate')));
    const body = tiles ? await packTiles(new Map([[0, tile]])) : new Uint8Array(await whole().arrayBuffer());
    const key = { 'X-Outfold-Client': 'bench', 'X-Outfold-Seq': String(turn) };
    const headers = { 'X-Outfold': '1', 'X-Outfold-Base': version, ...key };
    if (tiles) headers['X-Outfold-Tiles'] = '64';
    const saved = await fetch(`${base}/masks/${sample}`, { method: 'POST', body, headers });
    if (!saved.ok) throw new Error(await saved.text());
    ({ version } = await saved.json());
    found[tiles ? 'tiles' : 'whole'].push(performance.now() - began);
    found[tiles ? 'sent_tiles' : 'sent_whole'] = body.length;
  }
  return found;
}"""


def main() -> None:
    """Measure, print, and write the figures where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--strokes", type=int, default=12, help="strokes at each size, 40 moves each")
    parser.add_argument("--brush", type=int, default=24, help="brush size in image pixels")
    parser.add_argument("--size", help="only this one of the sizes, as in 8192x8192")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    chosen = parser.parse_args()
    figures: dict[str, Any] = {}
    for width, height in SIZES:
        if chosen.size not in {None, f"{width}x{height}"}:
            continue
        with (
            tempfile.TemporaryDirectory(prefix="outfold-bench-") as folder,
            serving(Path(folder), width, height) as url,
        ):
            measured = measure(url, chosen.strokes, chosen.brush)
        figures[f"{width}x{height}"] = measured
        print_table(width, height, measured)
    figures["machine"] = {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()}
    if chosen.json:
        chosen.json.write_text(json.dumps(figures, indent=2), encoding="utf-8")


def measure(url: str, strokes: int, brush: int) -> dict[str, float]:
    """Return p50 and p95 of every figure over these strokes."""
    with sync_playwright() as playwright:
        found = next(filter(None, map(shutil.which, BROWSERS)), None)
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        try:
            opened = [value for _ in range(OPENINGS) for value in _probed(_open(browser, url, brush))["opened"]]
            page = _open(browser, url, brush)
            measured = _draw(page, strokes) | {"opened": opened}
            memory = {"memory_painted_mb": _memory_mb(browser)}
            _act(page)
            measured |= {name: values for name, values in _probed(page).items() if name not in measured}
            memory["memory_filled_mb"] = _memory_mb(browser)
            sent = page.evaluate(BOTH_WAYS, [f"{url}/outfold", 1, TURNS])
            measured |= {"tiles": sent["tiles"], "whole": sent["whole"]}
        finally:
            browser.close()
    figures = {
        f"{name}_ms_{label}": round(float(np.percentile(values, percent)), 1)
        for name, values in measured.items()
        for label, percent in (("p50", 50), ("p95", 95))
    }
    ratio = float(np.median(sent["whole"]) / np.median(sent["tiles"]))
    sizes = {"sent_tiles_bytes": sent["sent_tiles"], "sent_whole_bytes": sent["sent_whole"]}
    return figures | sizes | memory | {"whole_to_tiles": round(ratio, 1)}


def _open(browser: Browser, url: str, brush: int) -> Page:
    """Return the editor in a page of its own, with nothing in the browser's cache."""
    for context in browser.contexts:
        context.close()
    page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    page.context.add_cookies([{"name": "outfold_name", "value": "bench", "url": url}])
    settings = json.dumps({"fill": True, "contour": True, "opacity": 0.5, "size": brush})
    page.add_init_script(f"localStorage.setItem('outfold.masks.view', {json.dumps(settings)});{PROBE}")
    page.goto(f"{url}/masks?round=1")
    page.wait_for_selector(READY, timeout=PATIENCE_MS)
    wait_for(page, "() => probe.opened.length > 0")
    return page


def _probed(page: Page) -> dict[str, list[float]]:
    probed: dict[str, list[float]] = page.evaluate("probe")
    return probed


def _box(page: Page) -> dict[str, float]:
    """Return the visible part of the image in the window."""
    sheet, stage = (page.locator(one).bounding_box() for one in (".sheet", ".stage"))
    if sheet is None or stage is None:
        message = "the image is not on the page"
        raise RuntimeError(message)
    left, top = max(sheet["x"], stage["x"]), max(sheet["y"], stage["y"])
    right = min(sheet["x"] + sheet["width"], stage["x"] + stage["width"])
    bottom = min(sheet["y"] + sheet["height"], stage["y"] + stage["height"])
    return {"x": left, "y": top, "width": right - left, "height": bottom - top}


def _draw(page: Page, strokes: int) -> dict[str, list[float]]:
    """Draw half of the strokes across the whole image, the others at its pixels' own size."""
    random = np.random.default_rng(0)
    for turn in range(strokes):
        page.keyboard.press("z")
        box = _box(page)
        if turn >= strokes // 2:
            _zoom_to_pixels(page, box)
            box = _box(page)
        page.keyboard.press(str(1 + turn % 5))
        page.keyboard.press("p")
        ends = random.uniform(0.05, 0.95, (3, 2)) * (box["width"], box["height"]) + (box["x"], box["y"])
        page.mouse.move(*ends[0])
        page.mouse.down()
        for end in ends[1:]:
            page.mouse.move(*end, steps=20)
        page.mouse.up()
        page.wait_for_selector(SAVED, timeout=PATIENCE_MS)
    measured = {name: values for name, values in _probed(page).items() if name in {"handled", "painted"}}
    saved = page.evaluate(SAVES)
    if len(saved) != strokes:
        message = f"{len(saved)} saves of {strokes} strokes"
        raise RuntimeError(message)
    return measured | {"saved_across": saved[: strokes // 2], "saved": saved[strokes // 2 :]}


def _zoom_to_pixels(page: Page, box: dict[str, float]) -> None:
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    while (percent := int(re.sub(r"\D", "", page.locator(".scale").inner_text()))) != 100:
        page.mouse.wheel(0, -120 if percent < 100 else 120)
        wait_for(page, "(percent) => !inEditor(' .scale').textContent.startsWith(`${percent} `)", percent)


def _act(page: Page) -> None:
    """Undo, fill, replace and cut out a polygon, then move and zoom the image."""
    for name, key in (("undone", "u"), ("redone", "Control+Shift+Z")):
        _announced(page, name, "keydown")
        page.keyboard.press(key)
        page.wait_for_selector(SAVED, timeout=PATIENCE_MS)
    page.keyboard.press("z")
    box = _box(page)
    places = {share: (box["x"] + share * box["width"], box["y"] + share * box["height"]) for share in (0.1, 0.3, 0.9)}
    for turn, (name, tool) in enumerate((("filled", "f"), ("replaced", "m")) * 3):
        page.keyboard.press(str(3 + turn % 2))
        page.keyboard.press(tool)
        page.mouse.move(*places[0.1])
        _announced(page, name, "pointerdown")
        page.mouse.click(*places[0.1])
        page.wait_for_selector(SAVED, timeout=PATIENCE_MS)
    page.keyboard.press("y")
    for x, y in ((0.3, 0.3), (0.9, 0.3), (0.9, 0.9)):
        page.mouse.click(places[x][0], places[y][1])
    _announced(page, "polygon", "keydown")
    page.keyboard.press("Enter")
    page.wait_for_selector(SAVED, timeout=PATIENCE_MS)
    _zoom_to_pixels(page, box)
    _move(page, _box(page))
    page.evaluate("window.frames_of = null")


def _announced(page: Page, name: str, kind: str) -> None:
    """Measure the next event of this kind, whatever the editor draws for it."""
    page.evaluate("([name, kind]) => { window.announced = { name, kind }; }", [name, kind])


def _move(page: Page, box: dict[str, float]) -> None:
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.move(*middle)
    page.keyboard.down("Space")
    page.mouse.down()
    page.evaluate("window.frames_of = 'moved'")
    for turn in range(2 * FRAMES):
        angle = turn / 9
        page.mouse.move(middle[0] + 200 * np.sin(angle), middle[1] + 150 * np.cos(angle))
    page.evaluate("window.frames_of = null")
    page.mouse.up()
    page.keyboard.up("Space")
    page.evaluate("window.frames_of = 'zoomed'")
    for turn in range(2 * FRAMES):
        page.mouse.wheel(0, 120 if turn // 6 % 2 == 0 else -120)
    page.evaluate("window.frames_of = null")


def _memory_mb(browser: Browser) -> float:
    """Return the resident memory of the largest page, without the browser's own program and libraries."""
    session = browser.new_browser_cdp_session()
    pages = [one["id"] for one in session.send("SystemInfo.getProcessInfo")["processInfo"] if one["type"] == "renderer"]
    found = []
    for process in pages:
        facts = dict(line.split(":", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines())
        found.append(sum(int(facts[kind].split()[0]) for kind in ("RssAnon", "RssShmem")) * 1024 / 1e6)
    return round(max(found))


@contextmanager
def serving(folder: Path, width: int, height: int) -> Iterator[str]:
    """Serve a scene of this size with the real app while the block runs."""
    prepare(folder / "home", folder / "scenes", 1, width=width, height=height)
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
    for name in sorted({key.split("_ms_")[0] for key in measured if "_ms_" in key}):
        p50, p95 = measured[f"{name}_ms_p50"], measured[f"{name}_ms_p95"]
        targets = LIMIT_MS[width, height].get(name)
        verdict = ""
        if targets:
            reached = p50 <= targets[0] and p95 <= targets[1]
            verdict = f"{targets[0]:8.0f} / {targets[1]:.0f}  {'reached' if reached else 'MISSED'}"
        print(f"  {name:<22}{p50:>8.1f}{p95:>8.1f}{verdict}")
    print(f"  a change sent as tiles is stored {measured['whole_to_tiles']} times as fast as sent as a whole mask,")
    print(f"  in {measured['sent_tiles_bytes']:,.0f} instead of {measured['sent_whole_bytes']:,.0f} bytes")
    painted, filled = measured["memory_painted_mb"], measured["memory_filled_mb"]
    print(f"  memory of the page: {painted} MB after the strokes, {filled} MB after filling")


if __name__ == "__main__":
    main()
