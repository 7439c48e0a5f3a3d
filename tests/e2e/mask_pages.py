"""The mask editor in a real browser: opened on scenes of its own, driven by the mouse, compared with what is stored."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from playwright.sync_api import Page
from sqlalchemy import select

from app.services.app_context import AppContext
from app.services.masks import current as masks
from core.types import IntArray, Status
from db.models import FindingRow
from tests.e2e.conftest import Server

SAVED = ".status[data-unsaved='0'][data-state='saved']"
READY = ".mask-editor[data-ready='true']"
PATIENCE_MS = 60_000

# What the pointer did, as the browser tells every listener.
WATCH = """
window.seen = [];
for (const type of ["pointerdown", "pointermove", "pointerup"]) {
  addEventListener(type, (event) => {
    const events = type === "pointermove" ? event.getCoalescedEvents() : [];
    for (const one of events.length ? events : [event]) window.seen.push([type, one.clientX, one.clientY]);
  }, true);
}
"""


@dataclass
class Editor:
    """A browser on the masks of a round of its own."""

    page: Page
    app_context: AppContext
    server: Server
    dataset_id: int
    round_id: int
    samples: list[int]
    troubles: list[str] = field(default_factory=list)

    @property
    def sample(self) -> int:
        return int(self.page.evaluate("new URLSearchParams(location.search).get('sample')"))

    def open(self, sample: int | None = None, finding: int | None = None) -> None:
        named = "".join(f"&{name}={id_}" for name, id_ in (("sample", sample), ("finding", finding)) if id_)
        self.page.goto(f"{self.server.url}/masks?round={self.round_id}{named}")
        self.ready()

    def ready(self) -> None:
        self.page.wait_for_selector(READY, timeout=PATIENCE_MS)

    def saved(self) -> None:
        self.page.wait_for_selector(SAVED, timeout=PATIENCE_MS)

    def state(self, state: str) -> None:
        self.page.wait_for_selector(f".status[data-state='{state}']", timeout=PATIENCE_MS)

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def size(self, pixels: int) -> None:
        """Set the brush's size as the keys do, a step at a time."""
        for _ in range(80):
            now = int(self.page.locator(".options b").inner_text().split()[0])
            if now == pixels:
                return
            self.press("[" if now > pixels else "]")
        raise AssertionError(now)

    def lies(self) -> tuple[float, float, float]:
        """Return where the image's corner is in the window, and CSS pixels per image pixel."""
        sheet = self.page.locator(".sheet")
        box = sheet.bounding_box()
        assert box is not None
        return box["x"], box["y"], box["width"] / int(sheet.evaluate("(sheet) => sheet.offsetWidth"))

    def at(self, x: float, y: float) -> tuple[float, float]:
        left, top, scale = self.lies()
        return left + x * scale, top + y * scale

    def click(self, x: float, y: float, **options: Any) -> None:
        self.page.mouse.click(*self.at(x + 0.5, y + 0.5), **options)

    def stroke(self, *points: tuple[float, float], steps: int = 5) -> None:
        """Press at the first point, move over the others, let go."""
        self.page.mouse.move(*self.at(*points[0]))
        self.page.mouse.down()
        for point in points[1:]:
            self.page.mouse.move(*self.at(*point), steps=steps)
        self.page.mouse.up()

    def fingers(self, *frames: list[tuple[float, float]]) -> None:
        """Touch the window, frame by frame: where each finger is, in CSS pixels; none ends it."""
        session = self.page.context.new_cdp_session(self.page)
        down = 0
        for frame in [*frames, []]:
            kind = "touchMove" if len(frame) == down else "touchStart" if len(frame) > down else "touchEnd"
            points = [{"x": x, "y": y, "id": finger} for finger, (x, y) in enumerate(frame)]
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
            down = len(frame)
        session.detach()

    def watched(self, draw: Callable[[], None]) -> list[tuple[float, float]]:
        """Return where in the image the pointer was while it was down."""
        left, top, scale = self.lies()
        self.page.evaluate("() => { window.seen.length = 0; }")
        draw()
        seen = self.page.evaluate("window.seen")
        start = next(index for index, (kind, *_) in enumerate(seen) if kind == "pointerdown")
        return [((x - left) / scale, (y - top) / scale) for _, x, y in seen[start:]]

    def stored(self, sample: int | None = None) -> IntArray:
        """Return the mask the server has for an image now."""
        return masks.read_mask(self.app_context, sample or self.sample)[1]

    def standings(self, sample: int | None = None) -> list[Status]:
        """Return how the reviews of an image's regions stand, the most suspicious first."""
        with self.app_context.database.read() as session:
            query = select(FindingRow.status).where(
                FindingRow.round_id == self.round_id, FindingRow.sample_id == (sample or self.sample)
            )
            return list(session.scalars(query.order_by(FindingRow.rank)))


def brushed(mask: IntArray, positions: list[tuple[float, float]], size: int, source: int | IntArray) -> IntArray:
    """Return what a brush of this size leaves behind on these positions, disc by disc."""
    painted = mask.copy()
    shift = 0.5 if size % 2 else 0.0
    reach = size // 2 + 1  # pixels from an anchor beyond which its disc paints nothing
    anchors = [(int(np.floor(px + 0.5 - shift)), int(np.floor(py + 0.5 - shift))) for px, py in positions]
    for begin, end in zip([anchors[0], *anchors], anchors, strict=False):
        for cx, cy in line(begin, end):
            left, top = max(0, cx - reach), max(0, cy - reach)
            around = np.s_[top : max(0, cy + reach), left : max(0, cx + reach)]
            y, x = np.indices(painted[around].shape)
            near = (left + x + 0.5 - cx - shift) ** 2 + (top + y + 0.5 - cy - shift) ** 2 <= (size / 2) ** 2
            painted[around][near] = source if isinstance(source, int) else source[around][near]
    return painted


def line(begin: tuple[int, int], end: tuple[int, int]) -> list[tuple[int, int]]:
    """Return the points of Bresenham's line, both ends included."""
    (x, y), (x1, y1) = begin, end
    dx, dy = abs(x1 - x), -abs(y1 - y)
    error, points = dx + dy, [(x, y)]
    while (x, y) != (x1, y1):
        twice = 2 * error
        if twice >= dy:
            error, x = error + dy, x + (1 if x1 > x else -1)
        if twice <= dx:
            error, y = error + dx, y + (1 if y1 > y else -1)
        points.append((x, y))
    return points
