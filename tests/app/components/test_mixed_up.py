"""What of a confusion is drawn."""

import numpy as np

from app.components.mixed_up import MOST_CHOSEN, shown
from core.judge.confusions import as_json


def test_a_confusion_of_few_classes_is_drawn_whole() -> None:
    part = shown([[5, 1], [0, 7]], 2)
    assert part.classes == (0, 1)
    assert set(part.cells) == {(0, 0, 5), (1, 1, 7), (0, 1, 1)}
    assert part.given == {0: 6, 1: 7}


def test_of_a_thousand_classes_those_that_are_mixed_up_most_are_drawn() -> None:
    confusion = np.diag(np.full(1000, 9))
    for number in range(200):
        confusion[number, 999 - number] = 1000 - number
    for kept in (as_json(confusion), confusion.tolist()):  # as it is kept now, and as it was before
        part = shown(kept, 1000)
        assert len(part.classes) <= MOST_CHOSEN
        assert (0, 999, 1000) in part.cells
        assert (0, 0, 9) in part.cells
        assert part.given[0] == 1009


def test_a_thousand_classes_without_an_error_draw_nothing() -> None:
    assert shown(as_json(np.eye(1000, dtype=np.int64)), 1000).cells == ()
