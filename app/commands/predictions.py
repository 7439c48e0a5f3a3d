"""`import-predictions`, `export-predictions`: out-of-fold predictions that were made elsewhere, and a round's own."""

from pathlib import Path
from typing import Annotated

import typer

from app.commands.speaking import DatasetName, JsonFlag, can_ask, fail, say, say_json


def import_predictions(
    *,
    dataset: DatasetName,
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="A .csv, .tsv, .parquet, .jsonl, .npz or .npy file; of masks a folder."),
    ],
    ids: Annotated[
        Path | None, typer.Option(help="The images' names, one a line, where FILE holds probabilities alone.")
    ] = None,
    out_of_fold: Annotated[
        bool | None,
        typer.Option(
            "--out-of-fold/--seen", help="No model had learnt the images whose probabilities it gave; or it had."
        ),
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Start it and return; a worker must be running.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Judge what your own models predicted, as a round that is reviewed and exported like others.

    A table has a column of image names and one for each class, or one called pred_probs with lists in the order of the
    dataset's classes. Every image of the dataset needs one row.

    Of masks it is a folder with a .npz for each image (probs, or class and confidence), or with PNGs of class ids in
    labels/ and of their probability, grey with 8 or 16 bits, in confidence/.

    Examples:
      python -m app import-predictions pets pred_probs.csv --out-of-fold
      python -m app import-predictions pets pred_probs.npy --ids names.txt --out-of-fold
      python -m app import-predictions pets train_probs.parquet --seen
      python -m app import-predictions scenes predicted_masks/ --out-of-fold
    """
    from app.commands.naming import dataset_named, person, workspace
    from app.commands.rounds import finish_round, show_round, watch_round
    from app.services import rounds
    from core.types import Recipe

    opened = workspace()
    info = dataset_named(opened, dataset)
    if out_of_fold is None:
        if not can_ask():
            fail("were the probabilities predicted out of fold? say --out-of-fold or --seen")
        out_of_fold = not typer.confirm("Had a model learnt the images whose probabilities it gave?", err=True)
    settings = {"file": str(file.absolute()), "ids": str(ids.absolute()) if ids else "", "out_of_fold": out_of_fold}
    started = rounds.start_round(
        opened, info.id, rounds.propose_config(opened, info.id), person(""), recipe=Recipe.PREDICTIONS,
        recipe_config=settings,
    )  # fmt: skip
    if detach:
        show_round(opened, started, as_json=as_json)
        return
    finish_round(opened, watch_round(opened, started, quiet=as_json), as_json=as_json)


def export_predictions(
    *,
    dataset: DatasetName,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A .csv, .parquet, .jsonl or .npz file to write; of masks a folder.")
    ],
    round_: Annotated[int | None, typer.Option("--round", help="This round; default: the newest finished.")] = None,
    issues: Annotated[
        bool, typer.Option("--issues", help="Write what was found instead, in the columns of cleanlab's Datalab.")
    ] = False,
    npz: Annotated[bool, typer.Option("--npz", help="Of masks: write a .npz an image instead of PNGs.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Write a round's out-of-fold predictions: of class labels a row an image and a column a class, of masks a folder.

    Examples:
      python -m app export-predictions pets pred_probs.csv
      python -m app export-predictions pets pred_probs.npz --round 2
      python -m app export-predictions pets issues.csv --issues
      python -m app export-predictions scenes predicted_masks/
    """
    from app.commands.naming import dataset_named, round_numbered, workspace
    from app.services import predictions

    opened = workspace()
    found = round_numbered(opened, dataset_named(opened, dataset), round_)
    target = file.expanduser().absolute()
    if issues:
        count = predictions.export_issues(opened, found.id, target)
    else:
        count = predictions.export(opened, found.id, target, archives=npz)
    if as_json:
        say_json({"round": found.number, "images": count, "path": target})
        return
    said = "issues" if issues else "predictions"
    say(f"{found.name} of {found.dataset}: {said} of {count:,} images in {target}")
