"""What a new round does beside training its folds: the recipe, and the recipe's own fields."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import streamlit as st

from app.components.cross_training_form import cross_training_fields
from app.components.iterated_form import iterated_fields
from app.services.evaluation import Split
from core.config import RECIPES_OF
from core.config.comparison import MOST_SEEDS, ComparisonSettings
from core.types import Recipe, Task

NAMES: Mapping[Recipe, str] = {
    Recipe.CROSS_FOLD: "Find wrong labels",
    Recipe.ITERATED: "Teacher and student",
    Recipe.CROSS_TRAINING: "Few masks, many tags",
    Recipe.COMPARISON: "What was cleaning worth?",
    Recipe.PREDICTIONS: "Judge predictions made elsewhere",
}
Fields = Callable[[Sequence[Split], str], dict[str, Any]]  # the dataset's splits, key -> the recipe's settings


def recipe_field(task: Task, key: str) -> Recipe:
    """Ask what the round is to do; nothing where there is one way only."""
    known = RECIPES_OF[task]
    if len(known) == 1:
        return known[0]
    chosen = st.selectbox("The round is to", known, format_func=NAMES.__getitem__, key=f"{key}_recipe")
    return chosen or known[0]


def recipe_fields(recipe: Recipe, splits: Sequence[Split], key: str) -> dict[str, Any]:
    """Ask for the recipe's own settings."""
    return FIELDS[recipe](splits, f"{key}_{recipe.name.lower()}")


def _nothing(_splits: Sequence[Split], _key: str) -> dict[str, Any]:
    return {}


def _comparison(_splits: Sequence[Split], key: str) -> dict[str, Any]:
    st.caption(
        "The same network learns the labels as they came and as they are now; both are measured on the images of the "
        "evaluation splits that people judged. The Worth page says what came of it."
    )
    text = "Trainings of each side, from different beginnings: more show better how much of a difference is luck"
    return {"seeds": st.number_input("Seeds", 1, MOST_SEEDS, ComparisonSettings().seeds, key=f"{key}_seeds", help=text)}


def _predictions(_splits: Sequence[Split], key: str) -> dict[str, Any]:
    st.caption(
        "Nothing is trained. What your own models predict of each image is judged, reviewed and exported like the "
        "predictions of a round."
    )
    text = (
        "Of class labels: CSV, Parquet or JSON lines with a row an image, or .npz with pred_probs and ids. Of masks: a "
        "folder with a .npz for each image (probs, or class and confidence), or with PNGs in labels/ and confidence/."
    )
    file = st.text_input(
        "File of probabilities, or folder of predicted masks",
        key=f"{key}_file",
        placeholder="/path/to/pred_probs.csv or /path/to/masks",
        help=text,
    )
    chosen = {"file": file.strip()}
    if file.strip().lower().endswith((".npy", ".npz")):
        names = st.text_input("Names of the images, one a line", key=f"{key}_ids", placeholder="/path/to/names.txt")
        chosen["ids"] = names.strip()
    seen = st.radio(
        "Had a model learnt the images whose probabilities it gave?",
        (True, False),
        index=None,
        format_func={True: "No, they are out of fold", False: "Yes, or unknown"}.__getitem__,
        key=f"{key}_out_of_fold",
        horizontal=True,
    )
    return chosen | {"out_of_fold": bool(seen)}


FIELDS: Mapping[Recipe, Fields] = {
    Recipe.CROSS_FOLD: _nothing,
    Recipe.ITERATED: iterated_fields,
    Recipe.CROSS_TRAINING: cross_training_fields,
    Recipe.COMPARISON: _comparison,
    Recipe.PREDICTIONS: _predictions,
}
