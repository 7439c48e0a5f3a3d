from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given as drawn, strategies as st

from core.judge.masks import final_decisions, resolved_mask, settled_pixels
from core.types import IGNORE, NO_LABEL, DatasetError, Decision, IntArray, Region, RegionDecision, Verdict

THEN = datetime(2026, 1, 1, tzinfo=UTC)
HEIGHT, WIDTH, CLASSES = 6, 8, 4
SETTLING = [verdict for verdict in Verdict if verdict.settles]
History = list[RegionDecision]


def pixels(seed: int, dtype: type = np.uint8) -> IntArray:
    return np.random.default_rng(seed).integers(0, CLASSES, (HEIGHT, WIDTH)).astype(dtype)


GIVEN = pixels(0)
EDITS = {"given": GIVEN} | {f"edit {seed}": pixels(seed) for seed in (1, 2)}
# Regions as two rounds found them: pieces of what the given mask says, and of what one of the edits does.
REGIONS = [
    (opened, given, Region.of(inside))
    for opened, mask in enumerate([GIVEN, EDITS["edit 1"]])
    for given in range(CLASSES)
    for half in (slice(None, 4), slice(4, None))
    if (inside := (mask == given) & np.isin(np.arange(WIDTH), np.arange(WIDTH)[half])).any()
]


def read(name: str) -> IntArray:
    return EDITS[name]


def edit_of_none(number: int, edit: str, base: str = "given", *, live: bool = True, by: str = "ada") -> RegionDecision:
    """Return an edit of an image that belongs to no finding, made in no round."""
    made = Decision(number, 1, Verdict.RELABEL, None, False, live, None, number, by, THEN, None, edit, base)  # noqa: FBT003
    return RegionDecision(made, None, None)


def on(number: int, finding: int, verdict: Verdict, *, label: int = 0, bulk: bool = False, live: bool = True,
       edit: str | None = None, base: str = "given") -> RegionDecision:  # fmt: skip
    opened, given, region = REGIONS[finding]
    labels = {Verdict.ACCEPT: (given + 1) % CLASSES, Verdict.KEEP: given, Verdict.RELABEL: label}
    said = None if edit else labels.get(verdict)
    made = Decision(
        number, 1, verdict, said, bulk, live, opened, number, "ada", THEN, finding, edit, base if edit else None
    )
    return RegionDecision(made, given, region)


@st.composite
def histories(draw: st.DrawFn) -> History:
    """Draw what people and bulk acts said of the regions of one image, edits among it."""
    made = []
    for number in range(draw(st.integers(0, 10))):
        finding, live = draw(st.integers(0, len(REGIONS) - 1)), draw(st.booleans())
        kind = draw(st.sampled_from(["human", "human", "bulk", "edit"]))
        if kind == "edit":
            base, edit = draw(st.sampled_from(sorted(EDITS))), draw(st.sampled_from(sorted(EDITS)))
            if draw(st.booleans()):
                made.append(edit_of_none(number, edit, base, live=live))
            else:
                made.append(on(number, finding, Verdict.RELABEL, live=live, edit=edit, base=base))
        elif kind == "bulk":
            made.append(on(number, finding, Verdict.ACCEPT, bulk=True, live=live))
        else:
            verdict = draw(st.sampled_from(list(Verdict)))
            made.append(on(number, finding, verdict, label=draw(st.integers(0, CLASSES - 1)), live=live))
    return made


def resolved(history: Sequence[RegionDecision]) -> IntArray:
    return resolved_mask(GIVEN, history, read)


def settled(history: Sequence[RegionDecision]) -> IntArray:
    return settled_pixels(GIVEN, history, read)


def inside(region: Region | None) -> IntArray:
    assert region is not None
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    region.paint(mask, 1)
    return mask != 0


@drawn(histories(), st.randoms(use_true_random=False))
def test_decisions_can_be_read_in_any_order_and_twice(history: History, random: object) -> None:
    shuffled = history + history
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    np.testing.assert_array_equal(resolved(shuffled), resolved(history))
    np.testing.assert_array_equal(settled(shuffled), settled(history))


@drawn(histories())
def test_the_given_mask_is_not_modified(history: History) -> None:
    before, edits = GIVEN.copy(), {name: mask.copy() for name, mask in EDITS.items()}
    resolved(history), settled(history)
    np.testing.assert_array_equal(GIVEN, before)
    assert all((EDITS[name] == mask).all() for name, mask in edits.items())


@drawn(histories())
def test_undone_decisions_never_count(history: History) -> None:
    alone = [one for one in history if one.decision.live]
    np.testing.assert_array_equal(resolved(history), resolved(alone))
    np.testing.assert_array_equal(settled(history), settled(alone))


@drawn(histories(), st.integers(0, len(REGIONS) - 1), st.sampled_from(list(Verdict)), st.booleans())
def test_undoing_a_decision_restores_the_mask_bit_for_bit(
    history: History,
    finding: int,
    verdict: Verdict,
    bulk: bool,  # noqa: FBT001
) -> None:
    later = on(99, finding, Verdict.ACCEPT if bulk else verdict, label=2, bulk=bulk)
    undone = RegionDecision(replace(later.decision, live=False), later.given, later.region)
    before = resolved(history)
    resolved([*history, later])
    assert resolved([*history, undone]).tobytes() == before.tobytes()


@drawn(histories(), st.lists(st.integers(0, len(REGIONS) - 1), max_size=4))
def test_a_bulk_act_never_changes_pixels_that_people_settled(history: History, findings: list[int]) -> None:
    later = [on(100 + place, finding, Verdict.ACCEPT, bulk=True) for place, finding in enumerate(findings)]
    human = settled(history) != 0
    np.testing.assert_array_equal(resolved(history + later)[human], resolved(history)[human])
    np.testing.assert_array_equal(settled(history + later), settled(history))


@drawn(histories(), st.integers(0, len(REGIONS) - 1), st.sampled_from(SETTLING), st.integers(0, CLASSES - 1))
def test_a_verdict_changes_only_the_pixels_of_its_region(
    history: History, finding: int, verdict: Verdict, label: int
) -> None:
    """Other verdicts on the same finding are replaced, so its history is left out."""
    history = [one for one in history if one.decision.finding_id != finding]
    later = on(99, finding, verdict, label=label)
    before, after = resolved(history), resolved([*history, later])
    region = inside(later.region)
    np.testing.assert_array_equal(after[~region], before[~region])
    painted = {Verdict.ACCEPT: later.decision.label, Verdict.RELABEL: label}.get(verdict, IGNORE)
    if verdict is not Verdict.KEEP:
        assert (after[region] == painted).all()
    assert settled([*history, later])[region].all()


@drawn(histories(), st.integers(0, len(REGIONS) - 1))
def test_an_edit_of_the_current_mask_becomes_the_mask(history: History, finding: int) -> None:
    kept = EDITS | {"now": resolved(history)}
    edit = on(99, finding, Verdict.RELABEL, edit="edit 2", base="now")
    np.testing.assert_array_equal(resolved_mask(GIVEN, [*history, edit], kept.__getitem__), EDITS["edit 2"])


@drawn(histories(), st.integers(0, len(REGIONS) - 1), st.booleans())
def test_redoing_an_act_after_an_edit_paints_the_pixels_that_the_edit_left(
    history: History,
    finding: int,
    bulk: bool,  # noqa: FBT001
) -> None:
    """The act comes first of all; it is undone, the mask edited, the act redone."""
    history = [one for one in history if one.decision.finding_id != finding]
    act = on(-1, finding, Verdict.ACCEPT, bulk=bulk)
    kept = EDITS | {"now": resolved(history)}
    kept["strokes"] = np.where(np.arange(WIDTH) < 3, EDITS["edit 1"], kept["now"])
    edit = on(99, (finding + 1) % len(REGIONS), Verdict.RELABEL, edit="strokes", base="now")
    redone = resolved_mask(GIVEN, [act, *history, edit], kept.__getitem__)
    changed = kept["strokes"] != kept["now"]
    np.testing.assert_array_equal(redone[changed], kept["strokes"][changed])
    elsewhere = ~changed
    np.testing.assert_array_equal(redone[elsewhere], resolved([act, *history])[elsewhere])


def test_a_bulk_act_undone_after_an_edit_leaves_only_the_strokes() -> None:
    accept = on(1, 0, Verdict.ACCEPT, bulk=True)
    accepted = resolved([accept])
    stroke = accepted.copy()
    stroke[0, 0] = (stroke[0, 0] + 2) % CLASSES
    kept = EDITS | {"accepted": accepted, "stroke": stroke}
    edit = on(2, 1, Verdict.RELABEL, edit="stroke", base="accepted")
    undone = RegionDecision(replace(accept.decision, live=False), accept.given, accept.region)
    wanted = GIVEN.copy()
    wanted[0, 0] = stroke[0, 0]
    np.testing.assert_array_equal(resolved_mask(GIVEN, [undone, edit], kept.__getitem__), wanted)
    human = inside(edit.region)
    human[0, 0] = True
    np.testing.assert_array_equal(settled_pixels(GIVEN, [undone, edit], kept.__getitem__) != 0, human)


def test_consecutive_edits_read_each_mask_only_once() -> None:
    masks = {str(number): pixels(number) for number in range(20)} | {"0": GIVEN}
    edits = [on(number, 0, Verdict.RELABEL, edit=str(number), base=str(number - 1)) for number in range(1, len(masks))]
    asked: list[str] = []

    def counted(name: str) -> IntArray:
        asked.append(name)
        return masks[name]

    np.testing.assert_array_equal(resolved_mask(GIVEN, edits, counted), masks["19"])
    assert asked == ["0", "19"]


@drawn(histories(), st.integers(0, len(REGIONS) - 1))
def test_a_second_opinion_reopens_a_region(history: History, finding: int) -> None:
    history = [one for one in history if one.decision.mask_hash is None]
    without = [one for one in history if one.decision.bulk or one.decision.finding_id != finding]
    asked = [*history, on(99, finding, Verdict.SECOND_OPINION)]
    np.testing.assert_array_equal(resolved(asked), resolved(without))
    np.testing.assert_array_equal(settled(asked), settled(without))


@pytest.mark.parametrize("verdict", [Verdict.AMBIGUOUS, Verdict.EXCLUDE])
def test_ambiguous_regions_are_ignored_in_8_and_16_bit_masks(verdict: Verdict) -> None:
    for given in (GIVEN, GIVEN.astype(np.uint16)):
        said = on(1, 0, verdict)
        now = resolved_mask(given, [said], read)
        assert now.dtype == given.dtype
        assert (now[inside(said.region)] == np.iinfo(given.dtype).max).all()


def test_keep_restores_the_pixels_that_an_accept_painted() -> None:
    for accept in (on(1, 0, Verdict.ACCEPT), on(1, 0, Verdict.ACCEPT, bulk=True)):
        assert (resolved([accept]) != GIVEN).sum() == inside(accept.region).sum()
        np.testing.assert_array_equal(resolved([accept, on(2, 0, Verdict.KEEP)]), GIVEN)


def test_keep_leaves_the_strokes_of_an_edit_in_the_region() -> None:
    edited = on(1, 0, Verdict.RELABEL, edit="edit 1")
    np.testing.assert_array_equal(resolved([edited, on(2, 0, Verdict.KEEP)]), EDITS["edit 1"])


@pytest.mark.parametrize("verdict", [Verdict.AMBIGUOUS, Verdict.EXCLUDE])
def test_regions_left_as_given_stay_so_after_a_later_edit(verdict: Verdict, monkeypatch: pytest.MonkeyPatch) -> None:
    said = on(1, 0, verdict)
    edit = resolved([said])
    monkeypatch.setitem(EDITS, "base 3", edit.copy())
    edit[-1, -1] = (edit[-1, -1] + 1) % CLASSES
    monkeypatch.setitem(EDITS, "edit 3", edit)
    history = [said, on(2, 1, Verdict.RELABEL, edit="edit 3", base="base 3")]
    assert (resolved(history)[inside(said.region)] == IGNORE).all()
    wanted = GIVEN.copy()
    wanted[-1, -1] = edit[-1, -1]
    np.testing.assert_array_equal(resolved_mask(GIVEN, history, read, {verdict}), wanted)
    np.testing.assert_array_equal(resolved_mask(GIVEN, [said], read, {verdict}), GIVEN)


def test_a_bulk_accept_paints_only_pixels_that_still_have_the_given_class() -> None:
    edited, accept = on(1, 1, Verdict.RELABEL, edit="edit 1"), on(2, 0, Verdict.ACCEPT, bulk=True)
    changed = resolved([edited, accept]) != EDITS["edit 1"]
    assert (GIVEN[changed] == accept.given).all()
    assert (EDITS["edit 1"][changed] == accept.given).all()
    assert changed.any()


def test_an_edit_settles_its_changed_pixels_and_the_region_of_its_finding() -> None:
    edited = on(1, 0, Verdict.RELABEL, edit="edit 1")
    np.testing.assert_array_equal(settled([edited]) != 0, (EDITS["edit 1"] != GIVEN) | inside(edited.region))


def test_an_edit_of_another_size_is_refused() -> None:
    with pytest.raises(DatasetError, match="edited mask"):
        resolved_mask(GIVEN, [on(1, 0, Verdict.RELABEL, edit="edit 1")], lambda _name: np.zeros((2, 2), np.uint8))


def test_an_edit_without_a_region_settles_its_changed_pixels_and_the_newest_per_person_is_final() -> None:
    edits = [edit_of_none(1, "edit 1"), edit_of_none(2, "edit 2", "edit 1"), edit_of_none(3, "edit 1", by="bob")]
    np.testing.assert_array_equal(settled(edits[:1]) != 0, EDITS["edit 1"] != GIVEN)
    np.testing.assert_array_equal(resolved(edits[:2]), EDITS["edit 2"])
    assert [one.decision.number for one in final_decisions([*edits, on(4, 0, Verdict.KEEP)])] == [2, 3, 4]


LEFT, RIGHT = Region.of(np.ones((HEIGHT, 5), np.uint8)), Region.of(np.ones((HEIGHT, 3), np.uint8), left=5)


def proposed(number: int, verdict: Verdict, label: int | None, region: Region = LEFT, *, bulk: bool = False,
             live: bool = True) -> RegionDecision:  # fmt: skip
    """Decide on a region of an image that came without a mask; each region is one finding."""
    made = Decision(number, 1, verdict, label, bulk, live, 1, number, "ada", THEN, 1 if region is LEFT else 2)
    return RegionDecision(made, NO_LABEL, region)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_accepting_a_region_without_a_given_mask_paints_only_that_region(dtype: type) -> None:
    blank = np.full((HEIGHT, WIDTH), np.iinfo(dtype).max, dtype)
    for bulk in (False, True):
        mask = resolved_mask(blank, [proposed(1, Verdict.ACCEPT, 2, bulk=bulk)], read)
        assert (mask[:, :5] == 2).all()
        assert (mask[:, 5:] == np.iinfo(dtype).max).all()
        settled = settled_pixels(blank, [proposed(1, Verdict.ACCEPT, 2, bulk=bulk)], read)
        assert settled.sum() == (0 if bulk else 5 * HEIGHT)
    both = [proposed(1, Verdict.ACCEPT, 2), proposed(2, Verdict.ACCEPT, 1, RIGHT, bulk=True)]
    assert (resolved_mask(blank, both, read) == np.where(np.arange(WIDTH) < 5, 2, 1)).all()


def test_no_bulk_act_paints_pixels_that_people_left_unlabelled() -> None:
    blank = np.full((HEIGHT, WIDTH), IGNORE, np.uint8)
    for verdict in (Verdict.AMBIGUOUS, Verdict.EXCLUDE):
        decisions = [proposed(1, verdict, None), proposed(2, Verdict.ACCEPT, 3, bulk=True)]
        assert (resolved_mask(blank, decisions, read) == IGNORE).all()
    undone = [proposed(1, Verdict.AMBIGUOUS, None, live=False), proposed(2, Verdict.ACCEPT, 3, bulk=True)]
    assert (resolved_mask(blank, undone, read)[:, :5] == 3).all()


def test_a_bulk_act_of_a_later_round_builds_on_that_of_an_earlier_one() -> None:
    """A pseudo label accepted unseen may be contradicted by the next round, and accepted unseen again."""
    blank = np.full((HEIGHT, WIDTH), IGNORE, np.uint8)
    first, again = proposed(1, Verdict.ACCEPT, 2, bulk=True), on(2, 0, Verdict.ACCEPT, bulk=True)
    later = RegionDecision(replace(again.decision, finding_id=9, label=0), 2, LEFT)
    assert (resolved_mask(blank, [first, later], read)[:, :5] == 0).all()
    assert (resolved_mask(blank, [later], read) == IGNORE).all()


def test_keeping_a_region_without_a_given_mask_leaves_it_unlabelled() -> None:
    """Services refuse it, since nothing was given; exports ask for it, of what is ambiguous."""
    blank = np.full((HEIGHT, WIDTH), IGNORE, np.uint8)
    mask = resolved_mask(blank, [proposed(1, Verdict.AMBIGUOUS, None)], read, [Verdict.AMBIGUOUS])
    assert (mask == IGNORE).all()
