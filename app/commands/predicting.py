"""`predict`, `models`: what a round's networks say of new images, and which networks are kept."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.commands.speaking import DatasetName, JsonFlag, progress_bar, quoted, say, say_json, say_table, tell

if TYPE_CHECKING:
    from app.services.networks import KeptNetwork, OfRound
    from core.data.export.predicted import Tally
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
        float, typer.Option(min=0, max=1, help="What they are less sure of gets no label; such pixels are IGNORE.")
    ] = 0.0,
    confidence: Annotated[
        bool, typer.Option("--confidence", help="Of masks: also write maps of how sure they are.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    allow_outside_links: Annotated[
        bool, typer.Option("--allow-outside-links", help="Follow links that leave the folder.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only check networks, images, place.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Ask a finished round's networks about new images, and write a table of labels, or a folder of masks.

    The answer is the mean of what the round's networks say, so it needs no round and no training. What is written can
    be imported as it is. Files that cannot be used are named with a cure; the rest is done.

    Examples:
      python -m app predict pets /data/new --to predicted.csv
      python -m app predict pets a.jpg b.jpg --to predicted.parquet --above 0.8
      python -m app predict scenes /data/new --to /data/new-masks --above 0.8 --confidence
      python -m app predict pets /data/new --to predicted.csv --round 3 --dry-run
    """
    from app.commands.naming import dataset_named, workspace
    from app.services import networks
    from app.services.allowed import allowed_roots, originals_around, refuse_outside
    from core.data.export.predicted import refuse_target, suffixes_for
    from core.data.formats.source import Problems, ReadOptions
    from core.data.new_images import find_images
    from core.types import ExportError

    opened = workspace()
    info = dataset_named(opened, dataset)
    target, problems = to.expanduser().absolute(), Problems()
    for path in (*sources, target):
        refuse_outside(opened, path)
    refuse_target(target, suffixes_for(info.task))
    if not suffixes_for(info.task) and (root := originals_around(opened, target)) is not None:
        raise ExportError(f"{target} and the originals in {root} lie within one another; choose a folder elsewhere")
    with networks.asked_networks(opened, info.id, round_) as asked:
        reading = ReadOptions(allow_outside_links=allow_outside_links, allowed_roots=allowed_roots(opened))
        images = find_images(sources, reading, problems)
        told = {"round": asked.round.number, "networks": [one.hash for one in asked.asked], "path": target}
        if dry_run:
            told |= {"images": len(images), "problems": problems.kept}
            _show_plan(told, problems.kept, as_json=as_json)
            return
        from core.predicting import Wish, open_ensemble
        from core.predicting import predict as written

        started = time.monotonic()
        with progress_bar("loading the networks", quiet=as_json) as step:
            wish = Wish(
                above=above,
                max_pixels=opened.settings.max_pixels,
                confidence=confidence,
                report=lambda done, of: step(done, of, "predicting"),
                problems=problems,
            )
            tally = written(open_ensemble(asked.asked, device), images, target, wish)
    told |= _counted(tally, len(images), info.classes) | {"problems": problems.kept}
    told |= {"seconds": round(time.monotonic() - started, 2)}
    if as_json:
        say_json(told)
    else:
        _show(told, asked, problems.kept)


def models(*, dataset: DatasetName, as_json: JsonFlag = False) -> None:
    """List the networks that a dataset's rounds keep, newest first; accuracy is on what each never saw.

    Examples:
      python -m app models pets
      python -m app models pets --json
    """
    from app.commands.naming import dataset_named, workspace
    from app.services.networks import networks_of

    opened = workspace()
    info = dataset_named(opened, dataset)
    found = [_facts(of_round, kept) for of_round in networks_of(opened, info.id) for kept in of_round.networks]
    if as_json:
        say_json(found)
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
        say_table(columns, rows, numbers=("round", "MB", "accuracy", "mIoU"))
        tell(f"ask them: python -m app predict {quoted(info.name)} FOLDER --to NEW")
    else:
        tell(f"no network is kept; start a round: python -m app round {quoted(info.name)}")


def _facts(of_round: "OfRound", kept: "KeptNetwork") -> dict[str, Any]:
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


def _counted(tally: "Tally", images: int, classes: tuple[str, ...]) -> dict[str, Any]:
    by_class = {classes[label]: count for label, count in sorted(tally.by_class.items())}
    return {
        "images": tally.images,
        "left_out": images - tally.images,
        "unsure": tally.unsure,
        "by_class": by_class,
    }  # fmt: skip


def _show_plan(told: dict[str, Any], problems: "list[Problem]", *, as_json: bool) -> None:
    if as_json:
        say_json(told)
        return
    say(f"would ask {_networks(len(told['networks']))} of round {told['round']} about {told['images']:,} images")
    _show_problems(problems)


def _show(told: dict[str, Any], asked: "OfRound", problems: "list[Problem]") -> None:
    count, unit = _networks(len(asked.asked)), "images" if not told["path"].is_dir() else "pixels"
    say(f"{told['images']:,} images predicted by {count} of {asked.round.name} in {told['seconds']:.0f} s")
    say_table(["class", unit], told["by_class"].items(), numbers=[unit])
    if told["unsure"]:
        say(f"{told['unsure']:,} {unit} without a label: not sure enough")
    _show_problems(problems)
    say(f"wrote {told['path']}")
    tell(f"import it: python -m app import {quoted(str(told['path']))}")


def _show_problems(problems: "list[Problem]") -> None:
    if not problems:
        return
    say_table(["path", "problem", "cure"], [(one.path, one.message, one.cure) for one in problems[:SHOWN]])
    tell(f"{len(problems):,} files were left out" if len(problems) > 1 else "one file was left out")


def _networks(count: int) -> str:
    return "1 network" if count == 1 else f"{count} networks"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"
