"""Preview of an export, as it is drawn."""

from app.components.export_preview import MOST_ROWS, in_sight


def test_classes_that_change_come_first_and_the_others_keep_their_order() -> None:
    classes = [{"class": str(one), "given": 2, "label": 2} for one in range(MOST_ROWS)]
    assert in_sight(classes) == classes
    classes += [{"class": "less", "given": 2, "label": 1}, {"class": "more", "given": 2, "label": 9}]
    assert [each["class"] for each in in_sight(classes)] == ["more", "less", *map(str, range(MOST_ROWS))]
