"""The dataset card: where labels come from, what is known of their quality, and nothing from outside as markup."""

from typing import Any

from core.data.export.card import card

ACT: dict[str, Any] = {
    "changeset": 7, "round": 2, "size": 1204, "standing": 1200, "set": "suspicious from 0.95 on, given <b>",
    "threshold": 0.95, "annotator": "Ada", "decided_at": "2026-11-28T10:00:00+00:00", "certified": True,
    "certificate": {}, "precision": None, "text": "Certified: at least 95.3 % of the 1,204 then right.",
}  # fmt: skip
MANIFEST: dict[str, Any] = {
    "versions": {"outfold": "1"},
    "dataset": {"name": "[pets](javascript:x)", "classes": ["cat", "dog"], "evaluation_splits": ["test"]},
    "counts": {
        "items": 2000, "changed": 900, "by_method": {"bulk": 1200, "given": 700, "person": 100},
        "left_out": {"ambiguous": 3},
    },
    "known": {"wrong_labels": None, "bulk_acts": []},
}  # fmt: skip


def test_without_a_round_wrong_labels_are_unknown() -> None:
    text = card(MANIFEST)
    assert "Wrong labels: unknown" in text
    assert "| accepted in bulk | 1,200 |" in text
    assert "| ambiguous, left out | 3 |" in text
    assert "For evaluation only: test." in text
    assert "Accepted in bulk:" not in text


def test_each_bulk_accept_stands_with_its_certificate() -> None:
    known = {"wrong_labels": {"text": "Wrong labels: about 90."}, "bulk_acts": [ACT]}
    text = card(MANIFEST | {"known": known})
    (line,) = [line for line in text.splitlines() if line.startswith("- ")]
    assert "1,204" in line
    assert "round 2, Ada, 2026-11-28" in line
    assert "Certified: at least 95.3 %" in line
    assert "1,200 of them are in this export" in line
    assert "Wrong labels: about 90." in text


def test_names_from_outside_are_escaped() -> None:
    text = card(MANIFEST | {"known": {"wrong_labels": None, "bulk_acts": [ACT]}})
    assert "# \\[pets\\]\\(javascript:x\\)" in text
    assert "<b>" not in text
