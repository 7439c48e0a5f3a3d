"""Random samples in a real browser: judged blind and by keys to a certificate, alone and by two at once."""

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Locator, Page, expect
from sqlalchemy import select

from app.services import reviews
from app.services.app_context import AppContext
from app.services.reviews import Choice, audits
from core.types import FindingFilter, FindingKind, Status, Verdict
from db.models import AuditRow, DecisionRow, FindingRow
from tests.e2e.conftest import Server, sign_in, watch
from tests.e2e.review_home import PATIENCE_MS, READY, Review, add_copy, serve_reviewed
from tools.fixtures import scenes as masked

pytestmark = pytest.mark.browser

NOWHERE = "999999"  # no sample has this number
# No act reaches the server from here on; the browser's own routes miss what a page sends while it goes.
CUT_OFF = """
const sent = window.fetch;
const passes = (url) => window.connected || !String(url).includes("/acts");
window.fetch = (url, options) => (passes(url) ? sent(url, options) : Promise.reject(new Error("cut off")));
"""
TELLING = re.compile(r"given|suggest|accept|kept|keep|agrees|percent|confid|\bconf\b|→|\.png|<s\b", re.IGNORECASE)
SIZE, THRESHOLD = 150, "0.66"  # of the home's 300 digits so many are suspicious from there on


class Sample(Review):
    """A browser on the review page and on the random samples of its round."""

    def begin(self, threshold: str = THRESHOLD) -> None:
        """Open the random sample of the set above a threshold from the accept-all dialog."""
        self.preview(threshold)
        self.page.locator(".check-sample").click()
        self.ready()

    def preview(self, threshold: str) -> Locator:
        """Open the accept-all dialog at a threshold and return its main button."""
        self.page.get_by_role("button", name="Preview and accept").click()
        self.page.get_by_label("Threshold, typed").fill(threshold)
        self.press("Tab")
        expect(self.page.locator(".accept-dialog h1")).to_contain_text(f"above {threshold}")
        expect(self.page.locator(".check-sample")).to_be_enabled()
        return self.page.locator(".accept-dialog .btns .primary")

    def ready(self) -> None:
        self.page.wait_for_selector(READY, timeout=PATIENCE_MS)
        expect(self.page.locator(".audit-bar")).to_be_visible()

    def reload(self) -> None:
        self.page.reload()
        self.ready()

    @property
    def audit_id(self) -> int:
        return int(self.page.evaluate("new URLSearchParams(location.search).get('audit')"))

    def order(self, count: int) -> list[int]:
        """Return the first cards of the sample's random order as the database has it."""
        return [one.id for one in audits.first_cards(self.app_context, self.audit_id, count)]

    def suggested(self) -> dict[int, str]:
        """Return the suggested class of every finding of the round by its name, which is also its key."""
        return self._named("pseudo")

    def given(self) -> dict[int, str]:
        return self._named("given")

    def judge(self, keys: dict[int, str], count: int) -> list[int]:
        """Judge the next cards by the keys of their classes, and return them in the order they came."""
        came = []
        for _ in range(count):
            came.append(self.focused())
            self.press(keys[came[-1]])
            expect(self.page.locator(f".card.focus[data-id='{came[-1]}']")).to_have_count(0, timeout=PATIENCE_MS)
        self.saved()
        return came

    def _named(self, column: str) -> dict[int, str]:
        with self.app_context.database.read() as session:
            query = select(FindingRow.id, getattr(FindingRow, column)).where(FindingRow.round_id == self.round_id)
            return {finding: str(label) for finding, label in session.execute(query)}


def sample_by_others(review: Review, verdicts: Sequence[Verdict], minimum: float = 0.0) -> int:
    """Judge the first cards of a set's random order without a browser; return the audit."""
    chosen = FindingFilter(round_id=review.round_id, kinds=frozenset({FindingKind.SUSPICIOUS}), min_confidence=minimum)
    audit_id = audits.start(review.app_context, chosen, by="Grace").audit.id
    cards = audits.first_cards(review.app_context, audit_id, len(verdicts))
    for card, verdict in zip(cards, verdicts, strict=True):
        reviews.decide(review.app_context, [Choice(card.id, verdict)], by="Grace", audit_id=audit_id, blind=True)
    return audit_id


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, digits_folder: Path) -> Iterator[tuple[Server, AppContext]]:
    with serve_reviewed(tmp_path_factory.mktemp("audit") / "home", digits_folder) as opened:
        yield opened


@pytest.fixture
def make_sample(
    served: tuple[Server, AppContext], page: Page, context: BrowserContext, tmp_path: Path
) -> Iterator[Callable[..., Sample]]:
    server, app_context = served
    troubles: list[str] = []
    watch(page, troubles, but=NOWHERE)
    page.set_viewport_size({"width": 1440, "height": 900})

    def make(count: int | None = None) -> Sample:
        sign_in(context, server.url)
        return Sample(page, app_context, server.url, add_copy(app_context, tmp_path.name, count))

    yield make
    assert not troubles


@pytest.fixture
def sample(make_sample: Callable[..., Sample]) -> Sample:
    opened = make_sample()
    opened.open()
    return opened


def test_a_set_is_judged_blind_until_certified_then_accepted_and_undone(sample: Sample) -> None:
    page, keys = sample.page, sample.suggested()
    sample.begin()
    expect(page.locator(".prog .done")).to_contain_text(f"0 of {SIZE} judged")
    needed = int(re.findall(r"(\d+) flawless", page.locator(".standing").inner_text())[0])
    assert 47 <= needed <= 85
    came: list[int] = []
    for count in (1, 20, 20, needed - 41):
        came += sample.judge(keys, count)
        left = sample.order(needed + 1)[len(came)]
        sample.reload()
        assert sample.focused() == left, "the same order, from the first card that is not judged"
        expect(page.locator(".prog .done b")).to_have_text(str(len(came)))
    assert came == sample.order(needed)
    expect(page.locator(".result")).to_contain_text(re.compile(rf"at least 9[5-9].* % .*{needed} random cards"))

    page.locator(".result").get_by_role("button", name=f"Accept the {SIZE - needed} open").click()
    button = page.locator(".accept-dialog .btns .primary")
    expect(button).to_contain_text(f"Accept the {SIZE - needed} open of {SIZE}: at least")
    button.click()
    toast = page.locator(".toast")
    expect(toast).to_contain_text(f"accepted {SIZE - needed}, certified")
    assert sample.statuses().count(Status.BULK) == SIZE - needed
    sample.reload()
    expect(page.locator(".audits .audit")).to_contain_text("certified")
    sample.press("u")
    expect(toast).to_contain_text("Undone")
    sample.saved()
    assert [finding for finding, status, _ in sample.stored() if status is Status.ACCEPT] == sorted(came)
    assert Status.BULK not in sample.statuses()
    sample.reload()
    expect(page.locator(".result")).to_contain_text("at least")


def test_two_people_on_one_sample_get_different_cards_and_none_is_lost(
    make_sample: Callable[..., Sample], other_context: BrowserContext
) -> None:
    ann = make_sample(60)
    ann.open()
    ann.begin("0.00")
    size = int(re.findall(r"of (\d+) judged", ann.page.locator(".prog .done").inner_text())[0])
    troubles: list[str] = []
    sign_in(other_context, ann.url, "Bob")
    bob = Sample(other_context.new_page(), ann.app_context, ann.url, ann.round_id)
    bob.page.set_viewport_size({"width": 1440, "height": 900})
    watch(bob.page, troubles, but=NOWHERE)
    bob.open(f"&audit={ann.audit_id}")
    keys = ann.suggested()
    by_ann, by_bob = ann.judge(keys, 3), bob.judge(keys, 3)
    ann.reload()
    bob.reload()
    mine, yours = ann.page.locator(".card").count(), bob.page.locator(".card").count()
    assert mine + yours == size - 6
    by_ann += ann.judge(keys, mine)
    expect(ann.page.locator(".empty-state p")).to_contain_text(f"The remaining {yours} cards are with Bob")
    expect(ann.page.locator(".gap")).to_have_text(re.compile(r"card \d+ waits: with Bob"))
    by_bob += bob.judge(keys, yours)
    assert not set(by_ann) & set(by_bob)
    assert sorted(by_ann + by_bob) == sorted(ann.order(size))
    ann.page.evaluate("dispatchEvent(new Event('focus'))")
    for one in (ann, bob):
        expect(one.page.locator(".empty-state h2")).to_have_text(f"All {size} judged")
        expect(one.page.locator(".prog .done b")).to_have_text(str(size))
    with ann.app_context.database.read() as session:
        judged = session.scalars(
            select(DecisionRow.finding_id).where(DecisionRow.finding_id.in_(ann.order(size)))
        ).all()
    assert sorted(one or 0 for one in judged) == sorted(ann.order(size))
    assert not troubles


def test_a_blind_card_hides_given_and_suggested_class_and_confidence(sample: Sample) -> None:
    page = sample.page
    sample.begin()
    keys = sample.suggested()
    sample.judge(keys, 2)
    sample.judge(sample.given(), 2)
    sample.press("z")
    expect(page.locator("dialog.zoom img")).to_be_visible()
    seen = page.locator(".grid, aside.right, footer, dialog.zoom").evaluate_all("all => all.map(one => one.outerHTML)")
    for html in (one.replace("Next (→)", "") for one in seen):
        assert not TELLING.search(html)
        assert not re.search(r"\b0?\.\d\d\b|\d %", html)
    sample.press("Escape")
    both = page.locator(".card.focus .choice").all_inner_texts()
    assert [text.split()[0] for text in both] == sorted({sample.given()[sample.focused()], keys[sample.focused()]})
    before = len(sample.stored())
    sample.press("a")
    expect(page.locator(".toast")).to_contain_text("blind")
    sample.press("k", "Shift+A")
    sample.saved()
    assert len(sample.stored()) == before
    assert sorted(sample.statuses()) == sorted([Status.ACCEPT, Status.KEEP] * 2)


def test_the_keys_a_and_k_work_without_blind_and_confidence_stays_hidden(sample: Sample) -> None:
    page = sample.page
    sample.begin()
    page.get_by_role("checkbox", name="blind").uncheck()
    sample.ready()
    expect(page.locator(".card.focus .cap > .given")).to_be_visible()
    assert page.locator(".conf").count() == 0
    sample.press("a", "k")
    sample.saved()
    assert sorted(sample.statuses()) == sorted([Status.ACCEPT, Status.KEEP])
    sample.reload()
    expect(page.get_by_role("checkbox", name="blind")).not_to_be_checked()


def test_the_dialog_shows_no_precision_before_the_sample_and_numbers_after(
    make_sample: Callable[..., Sample],
) -> None:
    sample = make_sample()
    sample.open()
    expect(sample.page.locator(".all .precision")).to_have_text("precision unknown")
    button = sample.preview(THRESHOLD)
    expect(button).to_have_text(f"Accept {SIZE} (precision unknown)")
    expect(sample.page.locator(".worth")).to_contain_text(
        re.compile(r"Precision unknown.*A certificate takes \d+ flawless")
    )
    expect(sample.page.locator(".worth .model")).to_contain_text("unverified")
    sample_by_others(sample, [Verdict.KEEP] * 6 + [Verdict.ACCEPT] * 54, float(THRESHOLD))
    sample.open()
    expect(sample.page.locator(".th")).to_have_value(THRESHOLD)  # where it was left
    expect(sample.page.locator(".all .precision")).to_have_text(re.compile(r"\d+ % right \(\d+ to \d+ %, 60 random\)"))
    button = sample.preview(THRESHOLD)
    expect(button).to_have_text(re.compile(r"Accept \d+ \(\d+ % right: \d+ to \d+ %, 60 random verdicts\)"))
    expect(sample.page.locator(".worth")).to_contain_text("from 60 random verdicts of this set")


def test_the_threshold_can_be_typed_beside_the_slider(sample: Sample) -> None:
    typed = sample.page.get_by_label("Threshold of accept all")
    typed.fill("0.66")
    sample.press("Enter")
    expect(sample.page.locator(".all .n")).to_contain_text(str(SIZE))
    typed.fill("7")
    sample.press("Enter")
    expect(typed).to_have_value(THRESHOLD)


def test_cards_judged_in_the_dialog_are_the_first_of_the_audit(sample: Sample) -> None:
    page = sample.page
    sample.preview(THRESHOLD)
    cards = page.locator(".rnd figure")
    expect(cards).to_have_count(24)
    shown = [int(cards.nth(place).get_attribute("data-id") or 0) for place in range(24)]
    cards.first.click()
    sample.press("a", "a", "k")
    expect(page.locator(".rnd .badge:visible")).to_have_text(["✓ accepted", "✓ accepted", "= kept"])
    expect(page.locator(".accept-dialog h1")).to_contain_text(f"Accept {SIZE - 3} suggestions")
    expect(page.locator(".check-sample")).to_have_text("Continue the random sample (3 judged)")
    with sample.app_context.database.read() as session:
        (audit_id,) = session.scalars(select(AuditRow.id).where(AuditRow.round_id == sample.round_id)).all()
    assert shown == [one.id for one in audits.first_cards(sample.app_context, audit_id, 24)]
    seen = audits.view_audit(sample.app_context, audit_id)
    assert (seen.judged, seen.right, seen.audit.size) == (3, 2, SIZE)

    page.locator(".rnd-verdicts").get_by_role("button", name="Undo").click()
    expect(page.locator(".rnd .badge:visible")).to_have_count(2)
    expect(page.locator(".check-sample")).to_have_text("Continue the random sample (2 judged)")
    assert audits.view_audit(sample.app_context, audit_id).judged == 2


def test_the_page_shows_why_no_threshold_is_proposed(make_sample: Callable[..., Sample]) -> None:
    sample = make_sample()
    sample.open()
    expect(sample.page.locator(".proposal")).to_be_empty()
    sample_by_others(sample, [Verdict.KEEP] * 60)
    sample.open()
    expect(sample.page.locator(".proposal")).to_contain_text(
        re.compile("No threshold is proposed: after 60 random verdicts")
    )
    expect(sample.page.locator(".th")).to_have_value("0.95")
    sample.preview("0.50")
    expect(sample.page.locator(".typed-threshold")).to_contain_text("No threshold is proposed")


def test_a_failed_sample_offers_the_quarters_of_its_set(make_sample: Callable[..., Sample]) -> None:
    sample = make_sample()
    sample.open(f"&audit={sample_by_others(sample, [Verdict.KEEP] * 20)}")
    page = sample.page
    expect(page.locator(".audits .audit em")).to_have_text("failed")
    page.locator(".audit-bar").get_by_role("button", name="Check its quarters").click()
    expect(page.locator(".quarters tr")).to_have_count(4)
    page.locator(".quarters button").last.click()
    expect(page.locator(".audit-bar .set")).to_contain_text("Random sample of 6")
    page.locator(".audit-bar .leave").click()
    sample.page.wait_for_selector(READY)
    expect(page).not_to_have_url(re.compile("audit="))


def test_a_skipped_card_stops_the_count_until_it_is_judged(make_sample: Callable[..., Sample]) -> None:
    sample = make_sample(60)
    sample.open()
    sample.begin("0.00")
    page, keys = sample.page, sample.suggested()
    sample.judge(keys, 1)
    skipped = sample.focused()
    sample.press("s")
    sample.judge(keys, 2)
    gap = page.locator(".gap")
    expect(gap).to_have_text("card 2 waits: skipped")
    expect(page.locator(".prog .done b")).to_have_text("1")
    expect(page.locator(".mix")).to_contain_text("2 further on do not count yet")
    sample.reload()
    expect(gap).to_have_text("card 2 waits: skipped")
    gap.click()
    expect(page.locator("dialog.zoom")).to_be_visible()
    sample.press(keys[skipped], "Escape")
    sample.saved()
    expect(page.locator(".prog .done b")).to_have_text("4")
    expect(gap).to_be_hidden()


def test_skipped_cards_return_when_the_others_are_judged(make_sample: Callable[..., Sample]) -> None:
    sample = make_sample(10)
    sample.open()
    sample.begin("0.00")
    keys = sample.suggested()
    skipped = sample.focused()
    sample.press("s")
    sample.judge(keys, 8)
    assert sample.focused() == skipped
    sample.judge(keys, 1)
    expect(sample.page.locator(".empty-state h2")).to_have_text("All 9 judged")
    sample.press("u")
    sample.saved()
    assert len(sample.stored()) == 8


def test_an_unsaved_verdict_survives_a_reload_and_its_card_is_not_shown_again(sample: Sample) -> None:
    page, keys = sample.page, sample.suggested()
    sample.begin()
    page.add_init_script(CUT_OFF)
    page.evaluate(f"() => {{{CUT_OFF}}}")
    judged = [sample.focused()]
    sample.press(keys[judged[0]])
    judged.append(sample.focused())
    sample.press(keys[judged[1]])
    expect(page.locator(".status")).to_have_attribute("data-unsaved", "2")
    sample.reload()
    assert not sample.stored()
    assert sample.focused() == sample.order(3)[2]
    for one in judged:
        expect(page.locator(f".card[data-id='{one}'] .badge")).to_have_text(f"✓ {keys[one]}")
    page.evaluate("window.connected = true; dispatchEvent(new Event('online'))")
    sample.saved()
    assert [(finding, status) for finding, status, _ in sample.stored()] == [
        (one, Status.ACCEPT) for one in sorted(judged)
    ]


def test_back_and_forward_leave_and_reopen_a_sample(sample: Sample) -> None:
    page = sample.page
    page.locator(".mx .cell").first.click()
    expect(page).to_have_url(re.compile("pseudo="))
    page.wait_for_selector(READY)
    address = page.url
    sample.begin("0.00")
    page.go_back()
    expect(page.locator(".audit-bar")).to_have_count(0)
    page.wait_for_selector(READY)
    expect(page).to_have_url(address)
    page.locator(".audits .audit").click()
    sample.ready()
    page.locator(".audit-bar .leave").click()
    expect(page.locator(".audit-bar")).to_have_count(0)
    expect(page).to_have_url(address)
    page.go_back()
    sample.ready()
    expect(page).to_have_url(re.compile(re.escape(f"{address}&audit=")))


def test_agreeing_findings_are_checked_by_one_question_per_card(sample: Sample) -> None:
    page = sample.page
    sample.begin("0.00")
    page.get_by_role("button", name="Check what the round agrees with").click()
    expect(page.locator(".audit-bar .set")).to_contain_text("Random sample of 30: agreeing")
    sample.ready()
    assert page.locator(".card.focus .choice").count() == 1
    keys = sample.suggested()
    sample.press("a", "k", "a")
    sample.saved()
    sample.judge(keys, 1)
    assert sample.statuses() == [Status.ACCEPT] * 4
    expect(page.locator(".prog .done b")).to_have_text("4")


def test_closing_a_sample_is_explained_and_it_can_be_reopened(sample: Sample) -> None:
    page = sample.page
    sample.begin()
    sample.judge(sample.suggested(), 3)
    page.get_by_role("button", name="Close the sample").click()
    dialog = page.locator("dialog.close-audit")
    expect(dialog).to_contain_text("count as wrong")
    dialog.get_by_role("button", name="Close the sample").click()
    expect(page.locator(".empty-state h2")).to_have_text("This sample is closed")
    page.get_by_role("button", name="Open it again").click()
    expect(page.locator(".card").first).to_be_visible()
    expect(page.locator(".prog .done b")).to_have_text("3")


def test_a_missing_sample_is_reported_with_a_link_back(sample: Sample) -> None:
    page = sample.page
    page.goto(f"{sample.url}/review?round={sample.round_id}&audit={NOWHERE}")
    page.get_by_role("button", name="Back to the queue").click()
    page.wait_for_selector(READY)
    expect(page).not_to_have_url(re.compile("audit="))


def test_the_page_of_a_sample_and_its_dialog_are_accessible(sample: Sample) -> None:
    sample.begin()
    keys = sample.suggested()
    sample.judge(keys, 2)
    sample.press("s", "b", "x", "n")
    sample.saved()
    expect(sample.page.locator(".gap")).to_be_visible()
    for scheme in ("light", "dark"):
        sample.page.emulate_media(color_scheme=scheme)
        sample.page.wait_for_selector(READY)
        found = Axe().run(sample.page, "[data-testid=stBidiComponentIsolated]")
        assert found.violations_count == 0, found.generate_report()
    sample.open()
    sample.preview(THRESHOLD)
    for scheme in ("dark", "light"):
        sample.page.emulate_media(color_scheme=scheme)
        found = Axe().run(sample.page, "[data-testid=stBidiComponentIsolated]")
        assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("width", [390, 1024])
def test_a_sample_and_the_dialog_fit_small_windows(sample: Sample, width: int) -> None:
    page = sample.page
    sample.begin()
    page.set_viewport_size({"width": width, "height": 768})
    sample.reload()
    right = "(boxes) => Math.max(...boxes.map((box) => box.getBoundingClientRect().right))"
    assert page.locator(".card, .audit-bar button, .audit-bar label").evaluate_all(right) <= width
    sample.open()
    sample.preview(THRESHOLD)
    assert page.locator(".accept-dialog, .accept-dialog button, .accept-dialog figure").evaluate_all(right) <= width


def test_a_blind_sample_of_regions_shows_their_outline_but_neither_mask(
    make_server: Callable[..., Server], tmp_path: Path, page: Page, context: BrowserContext
) -> None:
    masked.prepare(tmp_path / "home", tmp_path / "scenes", 6)
    server = make_server(tmp_path / "home", OUTFOLD_EMBEDDED_WORKER="false").start()
    sign_in(context, server.url)
    app_context = masked.open_home(server.home)
    with app_context.database.read() as session:
        round_id = session.scalars(select(FindingRow.round_id)).first() or 0
    sample = Sample(page, app_context, server.url, round_id)
    audit = audits.start(
        app_context, FindingFilter(round_id=round_id, kinds=frozenset({FindingKind.SUSPICIOUS})), by="Grace"
    )
    sample.open(f"&audit={audit.audit.id}")
    expect(page.locator(".card.focus img.contour")).to_be_visible()
    expect(page.locator("aside.right .choice, aside.right .likely").first).to_be_visible()
    assert page.locator(".fill, .tint, .views, .sw").count() == 0
    sample.press("e", "t", "z")
    expect(page.locator("dialog.zoom .outlines g.here")).to_have_count(1)
    assert page.locator("dialog.zoom .tint, dialog.zoom .region-list").count() == 0
    first = sample.focused()
    sample.press("1")
    sample.saved()
    sample.press("Escape")
    table = masked.TABLE
    with app_context.database.read() as session:
        row = session.get_one(FindingRow, first)
        assert row.label == min(row.given, row.pseudo), table
        assert row.status in (Status.ACCEPT, Status.KEEP)
    expect(page).not_to_have_url(re.compile("/masks"))
    app_context.database.close()
