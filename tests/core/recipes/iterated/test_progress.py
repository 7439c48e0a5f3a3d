"""Stages of teacher and student as people read them, and the results of those that are done."""

import json
from pathlib import Path

from core.config import IteratedSettings
from core.recipes.iterated.progress import StageScore, stage_name, stage_scores


def test_every_stage_has_a_name() -> None:
    full = IteratedSettings(iterations=2, consistency=True, votes=2, fine_tuning=0.25)
    names = [stage_name(number, full) for number in range(len(full.stages) + 1)]
    assert names[:4] == ["labels alone", "teacher with consistency", "voting network 1 of 2", "voting network 2 of 2"]
    assert names[4:8] == ["labelling 1 of 2", "student 1 of 2", "fine-tuning 1 of 2", "labelling 2 of 2"]
    assert names[-2:] == ["test and proposals"] * 2
    usual = IteratedSettings(iterations=1)
    assert [stage_name(number, usual) for number in range(4)] == [
        "labels alone", "labelling 1 of 1", "student 1 of 1", "test and proposals",
    ]  # fmt: skip


def test_results_are_listed_for_finished_networks_in_order(tmp_path: Path) -> None:
    settings = IteratedSettings(iterations=2)
    assert stage_scores(settings, tmp_path / "nowhere") == []
    for name, done in {
        "student_1": {"score": {"value": 0.95}},
        "baseline": {"score": {"value": 0.9}},
        "pseudo_1": {"labels": {}},
        "student_2": {"score": {"value": None}},  # no pixel of the validation masks is labelled
    }.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(done))
    assert stage_scores(settings, tmp_path) == [StageScore("labels alone", 0.9), StageScore("student 1 of 2", 0.95)]
