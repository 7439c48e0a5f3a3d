"""Sentences of Insight about a round of teacher and student."""

from app.components.insight_sections import mirrored_or_not, views_seen

MEASURED = {"mirror": True, "images": 200, "right": 0.92, "right_mirrored": 0.9, "lost_by_learning": -0.01}


def test_the_section_shows_the_decision_on_mirroring_and_its_evidence() -> None:
    known = "with the labels only, 92.0% of 200 validation images are right, and 90.0% of their mirror images"
    assert mirrored_or_not(MEASURED) == f"Half of the images were mirrored in training: {known}."
    off = MEASURED | {"mirror": False, "lost_by_learning": None}
    assert mirrored_or_not(off) == f"Images were not mirrored: {known}."
    assert mirrored_or_not(MEASURED | {"mirror": False}).endswith("a network trained with mirrored images did worse.")
    assert "too few validation images" in mirrored_or_not(off | {"right": None, "right_mirrored": None})


def test_the_number_of_unlabelled_views_of_each_network_is_shown() -> None:
    trained = {"baseline": {"steps": 552, "views": 0}, "student_1": {"steps": 552, "views": 26496}, "half_0": {}}
    assert views_seen(trained) == "Unlabelled images seen, repeated ones too: student 1 26,496 in 552 steps."
    assert views_seen({}) == ""
