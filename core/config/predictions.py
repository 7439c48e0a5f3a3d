"""The settings of a round that judges predictions which were made elsewhere."""

from dataclasses import dataclass

from core.config.settings import RecipeSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionsSettings(RecipeSettings):
    """Source of the predictions, and whether they were made out of fold."""

    file: str = ""  # of class labels see `core.data.formats.probabilities`, of masks a folder, see `predicted_masks`
    ids: str = ""  # a file with the images' names, where `file` has none
    out_of_fold: bool = False  # no model had learnt the images whose probabilities it gave
    stored: str = ""  # name of the copy that the round judges; set when a round of class labels is started
