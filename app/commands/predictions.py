"""`predict`, `models`: predictions of a round's networks for new images, and the kept networks.

`import-predictions`, `export-predictions`: out-of-fold predictions of own models as a round, and those of a round.
"""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.commands.console import (
    DatasetName,
    JsonFlag,
    can_ask,
    echo,
    echo_json,
    echo_table,
    fail,
    inform,
    progress_bar,
    shell_quote,
)
from core.types import counted

if TYPE_CHECKING:
    from app.services.rounds.networks import KeptNetwork, RoundNetworks
    from core.data.export.predicted import PredictionCounts
    from core.types import Problem

SHOWN = 20  # problems


def predict(
    *,
    dataset: DatasetName,
    sources: Annotated[list[Path], typer.Argument(metavar="SOURCE...", help="Folders of images, or images.")],
    to: Annotated[
        Path, typer.Option(help="A .csv or .parquet table that does not exist yet; of masks a folder that does not.")
    ],
    round_: Annotated[
        int | None, typer.Option("--round", help="This round's networks instead of the newest's that has any.")
    ] = None,
    above: Annotated[
        float, typer.Option(min=0, max=1, help="Less confident predictions get no label; such pixels are IGNORE.")
    ] = 0.0,
    confidence: Annotated[
        bool, typer.Option("--confidence", help="For masks: also write maps of the confidence.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    allow_outside_links: Annotated[
        bool, typer.Option("--allow-outside-links", help="Follow links that leave the folder.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only check networks, images, place.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Predict new images with a finished round's networks, and write a table of labels, or a folder of masks.

    Predictions are the mean over the round's networks; nothing is trained. The result can be imported as it is. Files
    that cannot be used are listed with a cure; the rest is predicted.

    Examples:
      python -m app predict pets /data/new --to predicted.csv
      python -m app predict pets a.jpg b.jpg --to predicted.parquet --above 0.8
      python -m app predict scenes /data/new --to /data/new-masks --above 0.8 --confidence
      python -m app predict pets /data/new --to predicted.csv --round 3 --dry-run
    """
    from app.commands.lookup import app_context, get_dataset
    from app.services.allowed import allowed_roots, originals_around, refuse_outside
    from app.services.rounds import networks
    from core.data.export.predicted import refuse_target, suffixes_for
    from core.data.formats.source import Problems, ReadOptions
    from core.data.new_images import find_images
    from core.types import ExportError

    opened = app_context()
    info = get_dataset(opened, dataset)
    target, problems = to.expanduser().absolute(), Problems()
    for path in (*sources, target):
        refuse_outside(opened, path)
    refuse_target(target, suffixes_for(info.task))
    if not suffixes_for(info.task) and (root := originals_around(opened, target)) is not None:
        raise ExportError(f"{target} and the originals in {root} lie within one another", "choose a folder elsewhere")
    with networks.hold_networks(opened, info.id, round_) as chosen:
        reading = ReadOptions(allow_outside_links=allow_outside_links, allowed_roots=allowed_roots(opened))
        images = find_images(sources, reading, problems)
        values = {"round": chosen.round.number, "networks": [one.hash for one in chosen.predicting], "path": target}
        if dry_run:
            values |= {"images": len(images), "problems": problems.kept}
            _show_plan(values, problems.kept, as_json=as_json)
            return
        from core.predicting import ListedClasses, PredictionOptions, open_ensemble, predict as write_predictions

        count, state, colours = len(chosen.predicting[0].about.classes), info.class_state, info.colours or ()
        shown = state.among(count)
        names = tuple(state.names[one] for one in shown)
        places = tuple(
            None if one in state.retired else shown.index(state.merged.get(one, one)) for one in range(count)
        )
        started = time.monotonic()
        with progress_bar("loading the networks", quiet=as_json) as step:
            options = PredictionOptions(
                above=above,
                max_pixels=opened.settings.max_pixels,
                confidence=confidence,
                report=lambda done, of: step(done, of, "predicting"),
                problems=problems,
                listed=ListedClasses(names, tuple(colours[one] for one in shown) if colours else (), places),
            )
            tally = write_predictions(open_ensemble(chosen.predicting, device), images, target, options)
    values |= _count_values(tally, len(images), names) | {"problems": problems.kept}
    values |= {"seconds": round(time.monotonic() - started, 2)}
    if as_json:
        echo_json(values)
    else:
        _show(values, chosen, problems.kept)


def models(*, dataset: DatasetName, as_json: JsonFlag = False) -> None:
    """List the networks that a dataset's rounds keep, newest first, with their out-of-fold accuracy.

    Examples:
      python -m app models pets
      python -m app models pets --json
    """
    from app.commands.lookup import app_context, get_dataset
    from app.services.rounds.networks import networks_of

    opened = app_context()
    info = get_dataset(opened, dataset)
    found = [_facts(of_round, kept) for of_round in networks_of(opened, info.id) for kept in of_round.networks]
    if as_json:
        echo_json(found)
        return
    columns = ("round", "network", "model", "hash", "MB", "accuracy", "mIoU", "asked")
    rows = [
        (
            each["round"],
            each["network"],
            each["model"],
            each["hash"],
            f"{each['bytes'] / 1e6:.1f}",
            _percent(each["accuracy"]),
            _percent(each["mean_iou"]),
            "yes" if each["asked"] else "",
        )
        for each in found
    ]
    if found:
        echo_table(columns, rows, numbers=("round", "MB", "accuracy", "mIoU"))
        inform(f"ask them: python -m app predict {shell_quote(info.name)} FOLDER --to NEW")
    else:
        inform(f"no network is kept; start a round: python -m app round {shell_quote(info.name)}")


def import_predictions(
    *,
    dataset: DatasetName,
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="A .csv, .tsv, .parquet, .jsonl, .npz or .npy file; of masks a folder."),
    ],
    ids: Annotated[
        Path | None, typer.Option(help="Names of the images, one per line, if FILE contains only probabilities.")
    ] = None,
    out_of_fold: Annotated[
        bool | None,
        typer.Option(
            "--out-of-fold/--seen", help="Each image was predicted by a model that was not trained on it; or it was."
        ),
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Start it and return; a worker must be running.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Judge labels by predictions of your own models, as a round that is reviewed and exported like others.

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
    from app.commands.lookup import app_context, get_dataset, person
    from app.commands.round_results import finish_round, show_round, watch_round
    from app.services.rounds import jobs as rounds
    from core.types import Recipe

    opened = app_context()
    info = get_dataset(opened, dataset)
    if out_of_fold is None:
        if not can_ask():
            fail("were the probabilities predicted out of fold?", "answer with --out-of-fold or --seen")
        out_of_fold = not typer.confirm("Was a model trained on the images that it predicted?", err=True)
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
        bool, typer.Option("--issues", help="Write the issues instead, in the columns of cleanlab's Datalab.")
    ] = False,
    npz: Annotated[bool, typer.Option("--npz", help="For masks: write one .npz per image instead of PNGs.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Write a round's out-of-fold predictions: a table of labels (one row per image), or a folder of masks.

    Examples:
      python -m app export-predictions pets pred_probs.csv
      python -m app export-predictions pets pred_probs.npz --round 2
      python -m app export-predictions pets issues.csv --issues
      python -m app export-predictions scenes predicted_masks/
    """
    from app.commands.lookup import app_context, get_dataset, get_round
    from app.services.rounds import predictions

    opened = app_context()
    found = get_round(opened, get_dataset(opened, dataset), round_)
    target = file.expanduser().absolute()
    if issues:
        count = predictions.export_issues(opened, found.id, target)
    else:
        count = predictions.export(opened, found.id, target, archives=npz)
    if as_json:
        echo_json({"round": found.number, "images": count, "path": target})
        return
    what = "issues" if issues else "predictions"
    echo(f"{found.name} of {found.dataset}: {what} of {counted(count, 'image')} in {target}")
    if not issues and predictions.exports_likeliest(opened, found.id):
        echo(
            "kept are the five likeliest classes and the given one of each image: the others share evenly what is left"
        )


def _facts(of_round: "RoundNetworks", kept: "KeptNetwork") -> dict[str, Any]:
    about = kept.about
    return {
        "round": of_round.round.number,
        "recipe": of_round.round.recipe,
        "network": kept.full_name,
        "model": about.config.get("model"),
        "hash": kept.hash,
        "bytes": kept.bytes,
        "accuracy": about.accuracy,
        "mean_iou": about.mean_iou,
        "asked": about.predicts,
        "path": kept.path,
    }


def _count_values(tally: "PredictionCounts", images: int, classes: tuple[str, ...]) -> dict[str, Any]:
    by_class = {classes[label]: count for label, count in sorted(tally.by_class.items())}
    return {
        "images": tally.images,
        "left_out": images - tally.images,
        "unsure": tally.unsure,
        "by_class": by_class,
    }  # fmt: skip


def _show_plan(values: dict[str, Any], problems: "list[Problem]", *, as_json: bool) -> None:
    if as_json:
        echo_json(values)
        return
    networks, images = _networks(len(values["networks"])), counted(values["images"], "image")
    echo(f"would ask {networks} of round {values['round']} about {images}")
    _show_problems(problems)


def _show(values: dict[str, Any], chosen: "RoundNetworks", problems: "list[Problem]") -> None:
    count, unit = _networks(len(chosen.predicting)), "images" if not values["path"].is_dir() else "pixels"
    echo(
        f"{counted(values['images'], 'image')} predicted by {count} of {chosen.round.name} in {values['seconds']:.0f} s"
    )
    echo_table(["class", unit], values["by_class"].items(), numbers=[unit])
    if values["unsure"]:
        echo(f"{values['unsure']:,} {unit} without a label: not sure enough")
    _show_problems(problems)
    echo(f"wrote {values['path']}")
    inform(f"import it: python -m app import {shell_quote(str(values['path']))}")


def _show_problems(problems: "list[Problem]") -> None:
    if not problems:
        return
    echo_table(["path", "problem", "cure"], [(one.path, one.message, one.cure) for one in problems[:SHOWN]])
    inform(f"{len(problems):,} files were left out" if len(problems) > 1 else "one file was left out")


def _networks(count: int) -> str:
    return counted(count, "network")


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"
