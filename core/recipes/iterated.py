"""Few labels, many images: a teacher labels the rest, a fresh student learns that, and may be the next teacher.

T. Petrac, *Semi-supervised semantic segmentation based on pseudo-labeling*, FER Zagreb 2021; for classes and masks.
The teacher learns the labelled images. Then, `iterations` times: the best network so far labels the unlabelled images
as far as it is sure (`core.judge.balanced_thresholds`); a fresh student learns these pseudo labels alone; the same
student is fine-tuned on the real labels, and becomes the teacher only when it is better on the validation images than
the best so far. The test images are looked at once, at the end, by the best network and by the baseline.

Everything happens in one folder, so that a killed run goes on where it was: `recipe.json` (what is run), a JSON file a
stage (`baseline`, perhaps `teacher`, then `pseudo_1`, `student_1`, `tuned_1`, ..., `test`), `result.json`, the networks
beside them as .safetensors, and of masks `masks/` and `camvid/` (`core.recipes.pseudo_masks`).
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from core.config import IteratedSettings, RoundConfig
from core.data.networks import Calibration, set_calibration, set_predicting
from core.data.storage import write_atomically
from core.learn.crossfold import Telling
from core.recipes.data import RecipeData
from core.recipes.folder import claim, digest_of, stage
from core.recipes.iterated_labels import Labels, labelling
from core.recipes.iterated_stages import Chosen, Exercise, Studio, choose, learn, look, temperature_of
from core.recipes.pseudo_masks import pseudo_folder
from core.recipes.scores import Score
from core.types import ClassTable, DatasetError, IntArray, Report, RoundError

BASELINE, TEACHER, TUNED = "baseline", "teacher", "tuned"
_OWN_STAGES = 3  # of an iteration: pseudo, student, tuned
_MASKS = "masks"


@dataclass(frozen=True, slots=True, kw_only=True)
class Iteration:
    """One iteration; scores are on the validation images, the rest is by class, (K,)."""

    number: int  # from 1 on
    teacher: str  # whose labels were learnt
    thresholds: list[float]
    predicted: list[int]  # images or pixels
    taken: list[int]  # those of them that were learnt
    student: Score  # from pseudo labels alone
    tuned: Score  # then fine-tuned
    better: bool  # than the best before it, so that it became the teacher


@dataclass(frozen=True, slots=True, kw_only=True)
class Iterated:
    """What came out; test scores are None where there are no test images."""

    baseline: Score  # from the labelled images alone, on the validation images
    teacher: Score | None  # the same with consistency, where that is on
    iterations: list[Iteration]
    best: str  # the name of the best network
    validation: Score  # its own
    test: Score | None  # its own
    baseline_test: Score | None


def run_iterated(
    data: RecipeData,
    network: RoundConfig,
    settings: IteratedSettings,
    folder: Path,
    *,
    image_cache: Path,
    masks: Path | None = None,
    table: ClassTable | None = None,
    further: int = 0,
    report: Report,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterated:
    """Run the whole recipe in `folder`, on from where a killed run was, and return what came out.

    `masks` is the store of the given masks and `table` their colours, where labels are masks; `further` stages are
    to follow, which only progress tells of.

    Raises:
        ConfigError, DatasetError, RoundError: it cannot be done; the text says the cure.
        RoundCancelledError: `should_stop` said so; run it again to go on.
    """
    telling = Telling(report, should_stop)
    studio = begin(
        data, network, settings, folder, image_cache=image_cache, masks=masks, further=further, telling=telling
    )
    truth, beside = studio.labelling.known(data.labelled), data.unlabelled if settings.consistency else None
    scores: dict[str, Score] = {}

    def learnt(exercise: Exercise) -> Score:
        done = stage(folder, exercise.name, lambda: {"score": asdict(learn(studio, exercise))})
        return Score(**done["score"])

    best = BASELINE
    scores[BASELINE] = learnt(Exercise(name=BASELINE, stage=0, taught=truth))
    if settings.consistency:
        scores[TEACHER] = learnt(Exercise(name=TEACHER, stage=1, taught=truth, beside=beside))
        best = TEACHER if scores[TEACHER].beats(scores[BASELINE]) else BASELINE
    iterations = []
    for number in range(1, settings.iterations + 1):
        first, student, tuned = 2 + _OWN_STAGES * (number - 1), f"student_{number}", f"{TUNED}_{number}"
        chosen = _pseudo(studio, best, number, first, table)
        at_first = learnt(Exercise(name=student, stage=first + 1, taught=chosen.labels))
        scores[tuned] = learnt(
            Exercise(
                name=tuned,
                stage=first + 2,
                taught=truth,
                begin=student,
                part=settings.fine_tuning,
                rate=settings.fine_tuning_rate,
                beside=beside,
            )
        )
        better = scores[tuned].beats(scores[best])
        iterations.append(
            Iteration(
                number=number,
                teacher=best,
                thresholds=chosen.thresholds,
                predicted=chosen.predicted,
                taken=chosen.taken,
                student=at_first,
                tuned=scores[tuned],
                better=better,
            )
        )
        best = tuned if better else best
    set_predicting(folder, best)
    calibrated = stage(folder, "temperature", lambda: {"of": temperature_of(studio, best, stage=_test_stage(settings))})
    set_calibration(folder, {best: Calibration(calibrated["of"])})
    tested = _test(studio, best)
    result = Iterated(
        baseline=scores[BASELINE],
        teacher=scores.get(TEACHER),
        iterations=iterations,
        best=best,
        validation=scores[best],
        test=tested.get(best),
        baseline_test=tested.get(BASELINE),
    )
    write_atomically(folder / "result.json", json.dumps(asdict(result)).encode())
    return result


def begin(
    data: RecipeData,
    network: RoundConfig,
    settings: IteratedSettings,
    folder: Path,
    *,
    image_cache: Path,
    masks: Path | None,
    further: int,
    telling: Telling,
) -> Studio:
    """Return what all stages need, after a look at whether they can be gone through here.

    Raises:
        DatasetError, RoundError: they cannot; the text says the cure.
    """
    if not len(data.unlabelled):
        raise DatasetError("every image has a label already; import images without labels, or choose another recipe")
    if not len(data.validation):
        raise DatasetError("no labelled image is left to choose by; name a split for validation, or label more images")
    parts: tuple[IntArray, ...] = (data.labelled, data.unlabelled, data.validation, data.test)
    plan = {"network": network.to_json(), "settings": settings.to_json()}
    claim(folder, plan | {"snapshot": data.snapshot.hash, "rows": digest_of(parts)})
    return Studio(
        data=data,
        network=network,
        settings=settings,
        labelling=labelling(data.snapshot, network.input_size, masks, folder / _MASKS),
        folder=folder,
        image_cache=image_cache,
        masks=folder / _MASKS,
        telling=telling,
        stages=_test_stage(settings) + 1 + further,
    )


def _pseudo(studio: Studio, best: str, number: int, first: int, table: ClassTable | None) -> Chosen:
    """Label the unlabelled images by the best network, once, and return what an iteration learns of them.

    Raises:
        RoundError: it is sure of nothing.
    """
    name, written = f"pseudo_{number}", studio.folder / f"predicted_{number}"

    def work() -> dict[str, Any]:
        share = studio.settings.share_at(number)
        chosen = choose(studio, best, stage=first, share=share, folder=written)
        studio.labelling.publish(pseudo_folder(studio.folder, number), chosen.labels, table)
        return asdict(chosen)

    done = stage(studio.folder, name, work)
    shutil.rmtree(written, ignore_errors=True)  # a few bytes for each pixel of each image
    labels: Labels = {int(row): label for row, label in done.pop("labels").items()}
    if not labels:
        raise RoundError(
            "the teacher is sure of no unlabelled image; choose a lower least_confidence, or label more images"
        )
    return Chosen(labels=labels, **done)


def _test_stage(settings: IteratedSettings) -> int:
    return 2 + _OWN_STAGES * settings.iterations


def _test(studio: Studio, best: str) -> dict[str, Score]:
    """Look at the test images, once: by the best network and by the baseline."""
    rows = studio.data.test
    if not len(rows):
        return {}
    number = _test_stage(studio.settings)
    names = list(dict.fromkeys((best, BASELINE)))
    done = stage(
        studio.folder, "test", lambda: {name: asdict(look(studio, name, rows, stage=number)) for name in names}
    )
    return {name: Score(**score) for name, score in done.items()}
