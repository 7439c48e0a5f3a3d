"""Settings of a round that judges predictions made elsewhere."""

from dataclasses import dataclass

from core.config.settings import RecipeSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionsSettings(RecipeSettings):
    """Source of the predictions, and whether they were made out of fold."""

    file: str = ""  # of class labels see `core.data.formats.probabilities`, of masks a folder, see `predicted_masks`
    ids: str = ""  # a file with the images' names, if `file` has none
    out_of_fold: bool = False  # each image was predicted by a model that was not trained on it
    stored: str = ""  # name of the copy that the round judges; set when a round of class labels is started
