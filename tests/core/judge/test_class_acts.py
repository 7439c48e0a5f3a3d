"""Classes follow from the acts on them: properties of the pure functions."""

import json
import unicodedata
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st

from core.judge.class_acts import (
    LONGEST_NAME,
    ClassAct,
    ClassActKind,
    clean_class_name,
    find_class,
    fold_name,
    former_names,
    order_of,
    resolve_classes,
)
from core.types import IGNORE, ClassState, exchange_values, merged_ids, renumber_mask

BASE = ("cat", "dog", "owl")


@st.composite
def histories(draw: st.DrawFn) -> tuple[tuple[str, ...], list[ClassAct]]:
    """Return the names of all slots and acts as a service would have stored them, each undone or not."""
    names, acts = list(BASE), []
    for number in range(draw(st.integers(0, 12))):
        live = draw(st.booleans())
        kind = draw(st.sampled_from(ClassActKind))
        state = resolve_classes(names, acts)
        if kind is ClassActKind.ADD:
            acts.append(ClassAct(number, kind, len(names), f"new {number}", live=live))
            names.append(f"new {number}")
        elif kind is ClassActKind.RENAME:
            which = draw(st.integers(0, len(names) - 1))
            acts.append(ClassAct(number, kind, which, f"renamed {number}", state.names[which], live))
        elif kind is ClassActKind.REORDER:
            order = order_of(state, draw(st.permutations(state.offered)))
            acts.append(ClassAct(number, kind, -1, "", live=live, ids=order))
        elif len(state.offered) > 1:
            into, *others = draw(st.permutations(state.offered))
            merged = tuple(others[: draw(st.integers(1, len(others)))])
            acts.append(ClassAct(number, kind, into, names[into], live=live, ids=merged))
    return tuple(names), acts


@given(histories(), st.randoms(use_true_random=False))
def test_the_state_is_idempotent_and_independent_of_the_order_of_reading(
    history: tuple[tuple[str, ...], list[ClassAct]], random: st.DataObject
) -> None:
    names, acts = history
    state = resolve_classes(names, acts)
    shuffled = list(acts)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert resolve_classes(state.names, shuffled) == state
    assert len(state.names) == len(names)
    assert len(set(state.names)) == len(names)


@given(histories())
def test_undoing_everything_restores_the_first_names_and_retires_added_classes(
    history: tuple[tuple[str, ...], list[ClassAct]],
) -> None:
    names, acts = history
    state = resolve_classes(resolve_classes(names, acts).names, [replace(act, live=False) for act in acts])
    assert state.names == names
    assert state.retired == tuple(range(len(BASE), len(names)))
    assert (state.merged, state.order) == ({}, ())


@given(histories())
def test_the_first_name_of_every_renamed_class_leads_to_its_present_one(
    history: tuple[tuple[str, ...], list[ClassAct]],
) -> None:
    names, acts = history
    state = resolve_classes(names, acts)
    for act in acts:
        if act.kind is ClassActKind.RENAME:
            first = names[act.class_id]
            assert former_names(state, acts).get(first, first) == state.names[act.class_id]


def test_adding_a_retired_class_again_restores_it() -> None:
    gone = ClassAct(1, ClassActKind.ADD, 3, "fox", live=False)
    assert resolve_classes((*BASE, "fox"), [gone]).retired == (3,)
    assert resolve_classes((*BASE, "fox"), [gone, ClassAct(2, ClassActKind.ADD, 3, "fox")]).retired == ()


def test_names_are_composed_and_stripped_and_empty_or_long_ones_are_refused() -> None:
    assert clean_class_name("  cafe\u0301 ") == "caf\u00e9"
    for wrong in ("", "  ", "x" * (LONGEST_NAME + 1), "a\nb", "a\x00b"):
        with pytest.raises(ValueError, match="the name of a class"):
            clean_class_name(wrong)


@given(st.text(min_size=1, max_size=12))
def test_cleaning_a_name_twice_changes_nothing_more(name: str) -> None:
    try:
        clean = clean_class_name(name)
    except ValueError:
        return
    assert clean_class_name(clean) == clean
    assert unicodedata.is_normalized("NFC", clean)


def test_names_are_compared_and_cleaned_as_the_browser_does() -> None:
    table = json.loads((Path(__file__).parents[2] / "class_names.json").read_text())  # of tests/js/search.test.js too
    for one, other in table["same"]:
        assert fold_name(one) == fold_name(other)
        assert find_class((one,), other) == 0
    for one, other in table["different"]:
        assert fold_name(one) != fold_name(other)
    for typed, name in table["names"]:
        assert clean_class_name(typed) == name
    for wrong in table["refused"]:
        with pytest.raises(ValueError, match="the name of a class"):
            clean_class_name(wrong)


def test_a_class_is_found_by_exact_name_first_then_in_any_case() -> None:
    assert find_class(("Cat", "cat"), "cat") == 1
    assert find_class(("Cat", "dog"), "CAT") == 0
    assert find_class(("Cat", "dog"), "ca") is None


@given(histories())
def test_merges_lead_to_offered_classes_and_every_class_is_offered_retired_or_merged(
    history: tuple[tuple[str, ...], list[ClassAct]],
) -> None:
    state = resolve_classes(*history)
    assert set(state.merged.values()) <= set(state.offered)
    assert sorted([*state.offered, *{*state.retired, *state.merged}]) == list(range(len(state.names)))
    assert sorted(state.ordered) == list(range(len(state.names)))
    for label in range(len(state.names)):
        assert state.present(state.present(label)) == state.present(label)


@given(histories(), st.randoms(use_true_random=False))
def test_undoing_acts_in_any_order_leaves_no_merge_of_an_undone_act(
    history: tuple[tuple[str, ...], list[ClassAct]], random: st.DataObject
) -> None:
    """Merges and orders only: a merge is the chain of those that count, whatever was undone in between."""
    names, acts = history
    left = [replace(act, live=True) for act in acts if act.kind in (ClassActKind.MERGE, ClassActKind.REORDER)]
    while left:
        gone = random.choice(left)  # type: ignore[attr-defined]
        left.remove(gone)
        try:
            state = resolve_classes(names, left)
        except ValueError:
            continue  # acts that were undone when the later ones were made, and count together here
        merged = {one for act in left if act.kind is ClassActKind.MERGE for one in act.ids}
        assert set(state.merged) == merged
        orders = [act.ids for act in left if act.kind is ClassActKind.REORDER]
        assert state.order == (orders[-1] if orders else ())
    assert resolve_classes(names, []) == ClassState(names)


def test_merges_follow_chains_and_contradictory_ones_are_refused() -> None:
    def merge(number: int, into: int, *ids: int) -> ClassAct:
        return ClassAct(number, ClassActKind.MERGE, into, BASE[into], ids=ids)

    assert resolve_classes(BASE, [merge(1, 1, 0), merge(2, 2, 1)]).merged == {0: 2, 1: 2}
    assert resolve_classes(BASE, [merge(2, 2, 1), merge(1, 1, 0)]).merged == {0: 2, 1: 2}
    for wrong in ([merge(1, 1, 0), merge(2, 0, 1)], [merge(1, 1, 0), merge(2, 2, 1), merge(3, 0, 2)], [merge(1, 1, 1)]):
        with pytest.raises(ValueError, match="into itself"):
            resolve_classes(BASE, wrong)
    with pytest.raises(ValueError, match="cat is merged into dog already"):
        resolve_classes(BASE, [merge(1, 1, 0), merge(2, 2, 0)])
    gone = ClassAct(0, ClassActKind.ADD, 2, "owl", live=False)
    with pytest.raises(ValueError, match="merged into owl, which would be taken back"):
        resolve_classes(BASE, [gone, merge(1, 2, 0)])


@given(st.permutations(range(6)), st.sets(st.integers(0, 5), max_size=4), st.randoms(use_true_random=False))
def test_an_order_keeps_hidden_classes_behind_their_predecessors(
    former: list[int], merged: set[int], random: st.DataObject
) -> None:
    state = ClassState(tuple("abcdef"), merged=dict.fromkeys(merged, 9), order=tuple(former))
    wanted = list(state.offered)
    random.shuffle(wanted)  # type: ignore[attr-defined]
    order = order_of(state, wanted)
    assert sorted(order) == list(range(6))
    assert [one for one in order if one not in merged] == wanted
    for before, one in zip((None, *former), former, strict=False):
        if one in merged and before is not None:
            assert order.index(one) == order.index(before) + 1


@given(st.lists(st.sampled_from([0, 1, 2, 3, 4, IGNORE]), min_size=4, max_size=30))
def test_pixels_follow_merges_and_places_and_ignore_stays(pixels: list[int]) -> None:
    state = ClassState(("a", "b", "c", "d", "e"), merged={0: 2, 4: 2}, order=(3, 2, 1, 0, 4))
    mask = np.array([pixels], dtype=np.uint8)
    seen = exchange_values(mask, state.merged)
    assert seen.tolist() == [[one if one == IGNORE else state.present(one) for one in pixels]]
    named = [None if one == IGNORE else state.offered_names[one] for one in renumber_mask(seen, state.places, 3)[0]]
    assert named == [None if one == IGNORE else state.name_of(one) for one in pixels]
    assert merged_ids([0, 2, 4, 1], state.merged) == [1, 2]


def test_masks_become_8_bit_when_merges_leave_few_classes() -> None:
    state = ClassState(tuple(map(str, range(300))), merged=dict.fromkeys(range(100, 300), 0))
    mask = np.array([[0, 99, 65_535]], dtype=np.uint16)
    found = renumber_mask(mask, state.places, len(state.offered))
    assert (found.dtype, found.tolist()) == (np.uint8, [[0, 99, IGNORE]])
    with pytest.raises(ValueError, match="the class 299"):
        renumber_mask(np.array([[299]], dtype=np.uint16), {0: 0}, 1)


def test_a_round_with_fewer_classes_knows_the_target_of_a_merge() -> None:
    state = ClassState((*BASE, "pet"), retired=(2,), merged={0: 3}, order=(1, 0, 2, 3))
    assert state.among(3) == (1, 3)
    assert state.among(4) == (1, 3)
    assert ClassState((*BASE, "pet")).among(3) == (0, 1, 2)
