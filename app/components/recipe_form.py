"""Form fields of a new round: its goal (the recipe), and the settings of each recipe."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import streamlit as st

from app.services.evaluation.splits import Split
from app.services.rounds.jobs import RoundProposal
from core.config import CrossTrainingSettings, IteratedSettings
from core.config.comparison import MOST_SEEDS, ComparisonSettings
from core.config.iterated import DECIDE, KEEP, MIRROR
from core.types import Recipe, Task

_NO_SPLIT = ""
_FOLDS_OF_VOTES = 5
_MIRRORING = {DECIDE: "if the validation images allow it", MIRROR: "yes", KEEP: "no: left and right differ"}
Fields = Callable[[RoundProposal, str], dict[str, Any]]  # of the dataset, key -> the recipe's settings


def recipe_field(task: Task, key: str) -> Recipe:
    """Ask for the goal of the round, unless there is only one."""
    known = [recipe for recipe in FIELDS if task in recipe.tasks]
    if len(known) == 1:
        return known[0]
    chosen = st.selectbox("Goal", known, format_func=lambda recipe: recipe.goal, key=f"{key}_recipe")
    return chosen or known[0]


def recipe_fields(recipe: Recipe, proposal: RoundProposal, key: str) -> dict[str, Any]:
    """Ask for the recipe's own settings."""
    return FIELDS[recipe](proposal, f"{key}_{recipe.name.lower()}")


def iterated_fields(proposal: RoundProposal, key: str) -> dict[str, Any]:
    """Ask for iterations, thresholds and validation splits of teacher and student."""
    usual = IteratedSettings()
    st.caption(
        "A first network is trained on the labelled images and labels the rest; students are trained on the real and "
        "on these pseudo labels. The network with the best result on the validation images proposes labels for the "
        "unlabelled images, and you review them; the round says if that is the first network. "
        "Measured: 100 labels of 12,000 digits, 95.1% right with the labels only, 97.0% after three iterations; "
        "with few masks no gain yet."
    )
    often, share = st.columns(2)
    chosen: dict[str, Any] = {
        "iterations": often.number_input("Iterations", 1, 20, usual.iterations, key=f"{key}_iterations"),
        "consistency": st.checkbox(
            "Weak and strong views too",
            usual.consistency,
            key=f"{key}_consistency",
            help="Also trains the first network on unlabelled images (FixMatch); takes twice as long",
        ),
        "validation_share": share.slider(
            "Set apart",
            0.05,
            0.5,
            usual.validation_share,
            0.05,
            format="percent",
            key=f"{key}_validation_share",
            help="Share of the labels, about 200 at most, in whole groups, for validation; unused with a split",
        ),
    }
    votes = st.checkbox(
        "Votes of five folds",
        usual.votes > 0,
        key=f"{key}_votes",
        help="Five networks, each trained without a fifth of the labels, together label for the first student",
    )
    chosen["votes"] = _FOLDS_OF_VOTES if votes else 0
    validation, test = st.columns(2)
    with validation:
        chosen["validation_split"] = one_split(
            "Choose by split",
            validation_splits(proposal.splits),
            f"{key}_validation",
            "The network with the best result on its labels is chosen",
        )
    with test:
        chosen["test_split"] = one_split(
            "Test on split", test_splits(proposal.splits), f"{key}_test",
            "Evaluated once, with the final model. Evaluation splits are always part of the test set",
        )  # fmt: skip
    with st.expander("Pseudo labels", key=f"{key}_more"):
        chosen |= _MIRROR_FIELDS[proposal.task](proposal, key)
        first, last = st.slider(
            "Share of each class that is trained on, first and last",
            0.05,
            1.0,
            (usual.share, usual.last_share),
            0.05,
            format="percent",
            key=f"{key}_share",
            help="The most confident predictions of each class",
        )
        chosen |= {"share": first, "last_share": last}
        chosen["least_confidence"] = st.slider(
            "Least confidence", 0.0, 1.0, usual.least_confidence, 0.05, format="percent", key=f"{key}_least"
        )
        views, minutes = st.columns(2)
        chosen["views"] = views.number_input(
            "Unlabelled views",
            0,
            None,
            usual.views,
            1000,
            key=f"{key}_views",
            help="Unlabelled images that a network sees, repeated ones too, instead of its epochs; 0: by epochs",
        )
        chosen["minutes"] = minutes.number_input(
            "Minutes per network",
            0.0,
            None,
            usual.minutes,
            0.5,
            key=f"{key}_minutes",
            help="Of training, instead of epochs or views; 0: none. Such a round cannot be repeated exactly",
        )
        chosen["growing"] = st.checkbox(
            "Few unlabelled images at first",
            usual.growing,
            key=f"{key}_growing",
            help="With weak and strong views: their part of a batch grows over the training (Fast FixMatch)",
        )
    return chosen


def mirror_field(_proposal: RoundProposal, key: str) -> dict[str, Any]:
    """Ask whether images with class labels are mirrored in training; masks have a setting of their network."""
    chosen = st.selectbox(
        "Mirror images",
        _MIRRORING,
        format_func=_MIRRORING.__getitem__,
        key=f"{key}_mirror",
        help="Half of the images in training",
    )
    return {"mirror": chosen}


def cross_training_fields(proposal: RoundProposal, key: str) -> dict[str, Any]:
    """Ask for the duration of joint training, and the splits of each part."""
    usual = CrossTrainingSettings()
    st.caption(
        "Networks are trained on the images with a mask, and predict masks for the images with only tags; you review "
        "the regions. Tags are given on the *Tags* page. Measured: 32 masks and 288 tagged scenes of ten classes, all "
        "drawn: mean IoU 26% with the masks only, 42% after."
    )
    steps, batch = st.columns(2)
    chosen: dict[str, Any] = {
        "steps": steps.number_input(
            "Steps together", 0, None, usual.steps, 100, key=f"{key}_steps", help="0: as many as the last network has"
        ),
        "batch_size": batch.number_input(
            "Images per step", 4, None, usual.batch_size, 2, key=f"{key}_batch", help="Half with masks, half with tags"
        ),
    }
    chosen["validation_split"] = several_splits(
        "Choose by split", validation_splits(proposal.splits), usual.validation_split, f"{key}_validation",
        "The network with the best result on its masks predicts",
    )  # fmt: skip
    chosen["test_split"] = several_splits(
        "Test on split", test_splits(proposal.splits), usual.test_split, f"{key}_test",
        "Its masks score each stage. Evaluation splits are always part of the test set",
    )  # fmt: skip
    with st.expander("Parts and lists", key=f"{key}_more"):
        chosen["background"] = st.text_input(
            "Background class", usual.background, key=f"{key}_background", help="The class every image shows, if any"
        ).strip()
        chosen["labelled_first"] = st.number_input(
            "Only the first masks", 0, None, usual.labelled_first, key=f"{key}_first", help="0: all of them"
        )
        chosen["labelled_list"] = st.text_input(
            "List of images with masks", usual.labelled_list, key=f"{key}_list", help="A file, one image per line"
        ).strip()
        chosen["test_list"] = st.text_input("List of test images", usual.test_list, key=f"{key}_test_list").strip()
        chosen["baseline"] = st.checkbox(
            "Also train on only the masks, to compare", usual.baseline, key=f"{key}_baseline"
        )
    return chosen


def comparison_fields(_proposal: RoundProposal, key: str) -> dict[str, Any]:
    """Ask for the number of trainings of each side."""
    st.caption(
        "The same network is trained on the original and on the current labels; both are measured on the images of the "
        "evaluation splits that people judged. The Impact page shows the result."
    )
    text = "Trainings of each side, with different seeds: more of them narrow the interval of the difference"
    return {"seeds": st.number_input("Seeds", 1, MOST_SEEDS, ComparisonSettings().seeds, key=f"{key}_seeds", help=text)}


def predictions_fields(_proposal: RoundProposal, key: str) -> dict[str, Any]:
    """Ask for the file of predictions, and whether they are out of fold."""
    st.caption(
        "Nothing is trained. The predictions of your own models are judged, reviewed and exported like the "
        "predictions of a round."
    )
    text = (
        "Of class labels: CSV, Parquet or JSON lines with one row per image, or .npz with pred_probs and ids. Of "
        "masks: a folder with one .npz per image (probs, or class and confidence), or with PNGs in labels/ and "
        "confidence/."
    )
    file = st.text_input(
        "File of probabilities, or folder of predicted masks",
        key=f"{key}_file",
        placeholder="/path/to/pred_probs.csv or /path/to/masks",
        help=text,
    )
    chosen = {"file": file.strip()}
    if file.strip().lower().endswith((".npy", ".npz")):
        names = st.text_input("Names of the images, one per line", key=f"{key}_ids", placeholder="/path/to/names.txt")
        chosen["ids"] = names.strip()
    seen = st.radio(
        "Was a model trained on the images that it predicted?",
        (True, False),
        index=None,
        format_func={True: "No, they are out of fold", False: "Yes, or unknown"}.__getitem__,
        key=f"{key}_out_of_fold",
        horizontal=True,
    )
    return chosen | {"out_of_fold": bool(seen)}


def no_fields(_proposal: RoundProposal, _key: str) -> dict[str, Any]:
    """Return no settings."""
    return {}


FIELDS: Mapping[Recipe, Fields] = {  # in the order of the form; labelling has a button of its own
    Recipe.CROSS_FOLD: no_fields,
    Recipe.ITERATED: iterated_fields,
    Recipe.CROSS_TRAINING: cross_training_fields,
    Recipe.COMPARISON: comparison_fields,
    Recipe.PREDICTIONS: predictions_fields,
}
_MIRROR_FIELDS: Mapping[Task, Fields] = {Task.CLASSIFICATION: mirror_field, Task.SEGMENTATION: no_fields}


def one_split(label: str, splits: Sequence[str], key: str, about: str) -> str:
    """Ask for one of the splits and return its name, "" for none."""
    return st.selectbox(label, [_NO_SPLIT, *splits], format_func=_split_word, key=key, help=about) or _NO_SPLIT


def several_splits(label: str, splits: Sequence[str], usual: str, key: str, about: str) -> str:
    """Ask for several splits and return their names, comma-separated; the default is the usual one, if it exists."""
    usable = [name for name in splits if "," not in name]  # ambiguous in the comma-separated setting
    begin = [usual] if usual in usable else []
    return ",".join(st.multiselect(label, usable, begin, key=key, help=about, placeholder=_split_word(_NO_SPLIT)))


def test_splits(splits: Sequence[Split]) -> list[str]:
    """Return the splits that have a name and images."""
    return [split.name for split in splits if split.name and split.images]


def validation_splits(splits: Sequence[Split]) -> list[str]:
    """Return the splits for validation: test splits without the evaluation splits, which only test."""
    return test_splits([split for split in splits if not split.protected])


def _split_word(name: str) -> str:
    return name or "none"
