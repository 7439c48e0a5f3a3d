"""Evidence of audits: sets of findings in words."""

from typing import Any

import pytest

from app.services.reviews import evidence
from app.services.reviews.evidence import set_name
from core.types import FindingFilter, FindingKind

pytestmark = pytest.mark.usefixtures("kept")

CLASSES = ("cat", "dog")


@pytest.mark.parametrize(
    ("narrower", "named"),
    [
        ({}, "all suspicious"),
        ({"min_confidence": 0.95}, "suspicious from 0.95 on"),
        ({"min_confidence": 0.5, "max_confidence": 0.9}, "suspicious from 0.5 to 0.9"),
        ({"kinds": frozenset({FindingKind.AGREEING})}, "all agreeing"),
        ({"min_confidence": 0.8, "given": 0, "pseudo": 1}, "suspicious from 0.8 on, given cat, suggested dog"),
        ({"given": -1, "split": ""}, "suspicious, given nothing, split (none)"),
        (
            {"fold": 0, "path_contains": "/a", "min_area": 1200},
            "suspicious, fold 1, path with /a, at least 1,200 pixels",
        ),
        ({"class_percents": (80, 90)}, "suspicious from each class's own threshold on"),
    ],
)
def test_a_stored_filter_has_a_readable_description(narrower: dict[str, Any], named: str) -> None:
    assert set_name(evidence.filter_values(FindingFilter(round_id=1, **narrower)), CLASSES) == named


def test_an_act_without_a_stored_filter_is_of_all_findings() -> None:
    assert set_name({}, CLASSES) == "all findings"
