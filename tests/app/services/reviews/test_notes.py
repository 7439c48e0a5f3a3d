"""Notes on cards: stored once, undone like verdicts, shown with the card and in the manifest."""

import pytest

from app.services import reviews
from app.services.app_context import AppContext
from app.services.exports.plan import plan_for
from app.services.reviews import ActKey, Choice, NotFoundError, RefusedError
from app.services.reviews.acts import LONGEST_NOTE
from core.data.export.items import ExportOptions
from core.types import Verdict
from tests.app.services.reviewed import digits, digits_home  # noqa: F401 fixtures

pytestmark = pytest.mark.usefixtures("kept")


def told(app_context: AppContext, finding_id: int) -> list[tuple[str, str, bool]]:
    """Return text, annotator and whether it counts, of each note of a card."""
    return [(one.text, one.annotator, one.live) for one in reviews.history(app_context, finding_id).notes]


def exported(app_context: AppContext) -> list[str]:
    return [one["text"] for one in plan_for(app_context, 1, ExportOptions()).source.notes]


def test_a_note_sent_twice_is_stored_once(digits: AppContext) -> None:  # noqa: F811
    first = reviews.add_note(digits, 3, "  cut  off\n", by="Ada", key=ActKey("page", 1))
    again = reviews.add_note(digits, 3, "cut off", by="Ada", key=ActKey("page", 1))
    assert first.changeset == again.changeset
    assert told(digits, 3) == [("cut off", "Ada", True)]
    assert exported(digits) == ["cut off"]


def test_undo_and_redo_follow_the_order_of_notes_and_verdicts(digits: AppContext) -> None:  # noqa: F811
    reviews.decide(digits, [Choice(3, Verdict.ACCEPT)], by="Ada")
    reviews.add_note(digits, 3, "a cat, surely", by="Ada")
    undone = reviews.undo(digits, 1, by="Ada")
    assert undone.undone
    assert undone.undone.text == "wrote a note"
    assert [item.id for item in undone.items] == [3]
    assert undone.items[0].status.name == "ACCEPT", "the verdict stands"
    assert told(digits, 3) == [("a cat, surely", "Ada", False)]
    assert exported(digits) == []
    reviews.redo(digits, 1, by="Ada")
    assert exported(digits) == ["a cat, surely"]


def test_the_newest_note_counts_and_an_empty_one_removes_it(digits: AppContext) -> None:  # noqa: F811
    reviews.add_note(digits, 3, "a cat", by="Ada")
    reviews.add_note(digits, 3, "a fox", by="Ben")
    assert exported(digits) == ["a fox"]
    cards = reviews.findings(digits, [3, 4])
    assert reviews.current_notes(digits, cards) == {3: "a fox"}
    reviews.add_note(digits, 3, " ", by="Ben")
    assert exported(digits) == []
    assert reviews.current_notes(digits, cards) == {}
    assert [text for text, _, _ in told(digits, 3)] == ["a cat", "a fox", ""]


def test_another_persons_note_is_not_undone_by_its_number(digits: AppContext) -> None:  # noqa: F811
    stored = reviews.add_note(digits, 3, "a cat", by="Ada")
    with pytest.raises(RefusedError, match="this note is Ada's"):
        reviews.undo(digits, 1, by="Ben", changeset_id=stored.changeset)


def test_a_note_that_is_too_long_or_without_a_card_is_refused(digits: AppContext) -> None:  # noqa: F811
    with pytest.raises(RefusedError, match="501 characters"):
        reviews.add_note(digits, 3, "a" * (LONGEST_NOTE + 1), by="Ada")
    with pytest.raises(NotFoundError):
        reviews.add_note(digits, 10**6, "a", by="Ada")
