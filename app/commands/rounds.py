"""`round`: train, watch, cancel."""

import json
import shlex
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.commands.speaking import (
    INTERRUPTED,
    DatasetName,
    JsonFlag,
    can_ask,
    fail,
    progress_bar,
    quoted,
    say,
    say_hints,
    say_json,
    tell,
)
from core.config import Method
from core.types import ConfigError, Recipe, Task

if TYPE_CHECKING:
    from app.services.rounds import RoundInfo, RoundProgress
    from app.services.workspace import Workspace
    from core.config import Member, RoundConfig

LOOK_SECONDS = 0.5
_SUSPECTED = {Task.CLASSIFICATION: "labels", Task.SEGMENTATION: "regions"}


def round_(
    *,
    dataset: DatasetName,
    folds: Annotated[int | None, typer.Option(help="Models to train; each judges the part it never saw.")] = None,
    method: Annotated[str | None, typer.Option(help="fine-tune or probe.")] = None,
    model: Annotated[str | None, typer.Option(help="small_cnn or any timm name.")] = None,
    weights: Annotated[str | None, typer.Option(help="none, packaged, pretrained (needs the network) or file.")] = None,
    weights_file: Annotated[
        str | None, typer.Option(help="A .safetensors or .pth file, or a folder of the hub's.")
    ] = None,
    weights_mean: Annotated[
        str | None, typer.Option(help="Mean of the images that the file was trained with, for example 0.5,0.5,0.5.")
    ] = None,
    weights_std: Annotated[str | None, typer.Option(help="Their standard deviation, likewise.")] = None,
    weights_padding: Annotated[str | None, typer.Option(help="'same' where its network pads as TensorFlow.")] = None,
    input_size: Annotated[int | None, typer.Option(help="Pixels, the longer side.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs of each fold.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images at once; halved when memory runs out.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="0: chosen for the model.")] = None,
    networks: Annotated[
        list[str] | None,
        typer.Option(
            "--network",
            metavar="'NAME=VALUE ...'",
            help="A further network, mixed with the first by evidence; model, weights, weights_file, method, upscale, "
            "epochs ... What is not named is as the first network's. May be repeated; for class labels.",
        ),
    ] = None,
    add_to: Annotated[
        int | None,
        typer.Option(help="Add the --network to the finished round of this number: only the added network learns."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed, the same folds and weights.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = None,
    recipe: Annotated[Recipe, typer.Option(help="What the round does.")] = Recipe.CROSS_FOLD,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A setting of the recipe; may be repeated.")
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Start it and return; a worker must be running.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Watch the round that runs instead of starting one.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done and about how long it takes; start nothing.")
    ] = False,
    cancel: Annotated[bool, typer.Option("--cancel", help="Cancel the round that waits or runs.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Train a round on a dataset and watch it until its findings are there.

    What is not given is chosen for the dataset. When no worker is running, this command brings one along for its
    duration. Ctrl+C asks whether to cancel the round; without a terminal to ask in, and when you say no, the round is
    left as it is: a running worker goes on with it, and so does the next one that is started.

    Examples:
      python -m app round pets
      python -m app round pets --dry-run
      python -m app round pets --folds 5 --epochs 6 --seed 1
      python -m app round pets --model resnet18 --weights pretrained --input-size 224
      python -m app round pets --network 'model=resnet18 weights=pretrained'
      python -m app round pets --add-to 1 --network 'model=mobilenetv2_100 weights=file weights_file=w.safetensors'
      python -m app round pets --recipe iterated --set iterations=3 --set consistency=true
      python -m app round pets --watch
      python -m app round pets --cancel
    """
    from app.commands.naming import dataset_named, person, round_numbered, workspace
    from app.services import rounds
    from app.services.extending import add_network

    opened = workspace()
    info = dataset_named(opened, dataset)
    unfinished = next((each for each in rounds.list_rounds(opened, info.id) if not each.status.ended), None)
    if cancel or watch:
        if unfinished is None:
            fail(f"no round of {info.name} waits or runs; start one with: python -m app round {quoted(info.name)}")
        if cancel:
            _cancel(opened, unfinished, as_json=as_json)
            return
        started = unfinished
    else:
        wishes = {
            "weights_mean": _numbers("--weights-mean", weights_mean), "weights_padding": weights_padding,
            "weights_std": _numbers("--weights-std", weights_std),
            "folds": folds, "method": method, "model": model, "weights": weights, "weights_file": weights_file,
            "input_size": input_size, "epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate,
            "seed": seed, "device": device,
        }  # fmt: skip
        if add_to is None:
            config = _config(opened, info.id, recipe, wishes, networks or [])
            if dry_run:
                _say_plan(opened, info.id, recipe, config, as_json=as_json)
                return
            started = rounds.start_round(
                opened, info.id, config, person(""), recipe=recipe, recipe_config=_settings(settings or [])
            )
        else:
            if dry_run:
                fail("--dry-run measures a new round, not one of --add-to; leave one of them out")
            chosen = round_numbered(opened, info, add_to)
            started = add_network(opened, chosen.id, _added(chosen, networks or [], wishes), person(""))
    if detach:
        show_round(opened, started, as_json=as_json)
        return
    finish_round(opened, watch_round(opened, started, quiet=as_json), as_json=as_json)


def _config(
    opened: "Workspace", dataset_id: int, recipe: Recipe, wishes: dict[str, Any], networks: list[str]
) -> "RoundConfig":
    from app.services import rounds
    from core.config import RoundConfig, further, trained, with_model

    proposed = rounds.propose_config(opened, dataset_id)
    if recipe.proposes:
        proposed = trained(proposed)
    if wishes["model"] is not None:
        proposed = with_model(proposed, wishes["model"])
    first = RoundConfig.from_json(
        proposed.to_json() | {name: value for name, value in wishes.items() if value is not None}
    )
    return replace(first, members=tuple(further(first, _network(one)) for one in networks))


def _added(chosen: "RoundInfo", networks: list[str], wishes: dict[str, Any]) -> "Member":
    """Return the one network that is to be added to a finished round, whose own settings stay as they were."""
    from core.config import RoundConfig, further

    said = [f"--{name.replace('_', '-')}" for name, value in wishes.items() if value is not None]
    if said:
        fail(f"--add-to keeps the settings of {chosen.name}; leave out {', '.join(said)}, or name them in --network")
    if len(networks) != 1:
        fail("--add-to needs one --network, for example --network 'model=resnet18 weights=pretrained'")
    return further(RoundConfig.from_json(chosen.config), _network(networks[0]))


def _network(text: str) -> dict[str, Any]:
    """Return the settings that a text such as `model=resnet18 weights=pretrained` names."""
    values: dict[str, Any] = {}
    for one in shlex.split(text):
        name, equals, value = one.partition("=")
        if not equals:
            fail(f"--network {quoted(text)} names no value for {one}; write NAME=VALUE with a space between two")
        listed = name in {"weights_mean", "weights_std"}
        values[name] = _numbers(f"--network {name}", value) if listed else _value(value)
    return values


def _say_plan(opened: "Workspace", dataset_id: int, recipe: Recipe, config: "RoundConfig", *, as_json: bool) -> None:
    """Print what a round would do and how long it takes; of recipes other than folds the time is unknown."""
    from app.services import timings

    seconds, why = None, "its time is unknown"
    if recipe is Recipe.CROSS_FOLD:
        try:
            with progress_bar("measuring the time it takes", quiet=as_json):
                (seconds,) = timings.estimate_times(opened, dataset_id, [config])
        except ConfigError as error:
            why = str(error)
    if as_json:
        say_json({"recipe": recipe, "config": config.to_json(), "seconds": seconds} | ({} if seconds else {"why": why}))
        return
    epochs = f", {config.epochs} epochs" if config.method is Method.FINE_TUNE else ""
    say(f"{config.method} of {config.model} at {config.seen_size} pixels, {config.folds} folds{epochs}")
    say(why if seconds is None else f"{timings.about(seconds)} on this machine")


def _numbers(option: str, text: str | None) -> list[float] | None:
    """Return the numbers of a text such as `0.5,0.5,0.5`."""
    try:
        return None if text is None else [float(part) for part in text.split(",")]
    except ValueError:
        fail(f"{option} {text} is not a list of numbers; write {option} 0.5,0.5,0.5")


def _settings(said: list[str]) -> dict[str, Any]:
    """Return what NAME=VALUE says; a value is JSON where it can be read so, else a text."""
    values: dict[str, Any] = {}
    for one in said:
        name, equals, value = one.partition("=")
        if not equals:
            fail(f"--set {one} names no value; write --set NAME=VALUE")
        values[name.strip()] = _value(value)
    return values


def _value(text: str) -> Any:  # noqa: ANN401 whatever JSON holds
    """Return what a text says as JSON, where it can be read so, else the text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def watch_round(opened: "Workspace", started: "RoundInfo", *, quiet: bool) -> "RoundInfo":
    """Show how far the round is until it ends; with a worker of our own where nobody else works."""
    from app.services import rounds
    from app.worker.embedded import EmbeddedWorker

    worker = EmbeddedWorker(opened)  # starts one only when nobody else works
    worker.start()
    try:
        with progress_bar(started.name, quiet=quiet) as step:
            while True:
                seen = rounds.progress(opened, started.id)
                if seen.round.status.ended:
                    return seen.round
                step(seen.fraction, 1.0, _words(seen))
                time.sleep(LOOK_SECONDS)
    except KeyboardInterrupt:
        _interrupted(opened, started, goes_on=worker.pid is None)
        raise typer.Exit(INTERRUPTED) from None
    finally:
        worker.stop()


def _interrupted(opened: "Workspace", started: "RoundInfo", *, goes_on: bool) -> None:
    from app.services import rounds

    if can_ask() and typer.confirm(f"\nCancel {started.name} of {started.dataset}?", default=False, err=True):
        rounds.cancel_round(opened, started.id)
        tell("cancelled")
        return
    name = quoted(started.dataset)
    how = "it goes on in its worker" if goes_on else "it goes on where it was as soon as a worker runs"
    tell(f"left {started.name} of {started.dataset} as it is: {how}")
    tell(f"watch it: python -m app round {name} --watch; cancel it: python -m app round {name} --cancel")


def _cancel(opened: "Workspace", unfinished: "RoundInfo", *, as_json: bool) -> None:
    from app.services import rounds

    rounds.cancel_round(opened, unfinished.id)
    show_round(opened, unfinished, as_json=as_json)


def show_round(opened: "Workspace", chosen: "RoundInfo", *, as_json: bool) -> None:
    """Print how a round stands."""
    from app.services import rounds

    info = rounds.get_round(opened, chosen.id)
    if as_json:
        say_json(info)
    else:
        say(f"{info.name} of {info.dataset}: {info.status}")


def finish_round(opened: "Workspace", ended: "RoundInfo", *, as_json: bool) -> None:
    """Say what a round found, or why it did not get there."""
    from app.commands.worth import say_worth
    from app.services import reviews, rounds
    from core.types import RoundStatus

    if ended.status is not RoundStatus.DONE:
        fail(ended.message or f"{ended.name} of {ended.dataset} was {ended.status}")
    if not ended.recipe.finds:
        say_worth(opened, ended, as_json=as_json)
        return
    compared, hints = rounds.compare(opened, [ended.id])[0], reviews.hints(opened, ended.id)
    if as_json:
        say_json(
            {
                "round": ended,
                "suspicious": compared.suspicious,
                "proposed": compared.proposed,
                "seconds": compared.seconds,
                "metrics": compared.numbers,
                **({"networks": compared.metrics["networks"]} if "networks" in compared.metrics else {}),
                "wrong_labels": compared.wrong.as_json() if compared.wrong else None,
                "hints": hints,
            }
        )
        return
    proposed = f"{compared.proposed:,} proposed for unlabelled data"
    found, show = (
        f"{compared.suspicious:,} suspicious {_SUSPECTED[ended.task]}" + f", {proposed}," * bool(compared.proposed),
        "",
    )
    if ended.recipe.proposes:
        found, show = proposed, " --show unlabelled"
    say(f"{ended.name} of {ended.dataset}: {found} in {compared.seconds or 0:.0f} s")
    for name, value in compared.numbers.items():
        say(f"  {name.replace('_', ' ')}: {f'{value:,}' if isinstance(value, int) else f'{value:.4g}'}")
    for network in compared.metrics.get("networks", ()):
        weight = f"weight {network['weight']:.2f}, " if "weight" in network else ""
        agreement, likelihood = network["agreement"], network["log_likelihood"]
        say(f"  {network['model']}: {weight}agreement {agreement:.4g}, log likelihood {likelihood:.4g}")
    if compared.wrong:
        say(compared.wrong.text)
    say_hints(hints)
    tell(f"next: python -m app findings {quoted(ended.dataset)}{show}, or in the browser: python -m app serve")


def _words(seen: "RoundProgress") -> str:
    fold = seen.current
    if fold is None:
        return seen.round.stage
    alone = [fold.message] if fold.message else []  # a recipe of one piece says by itself what is at work
    parts = alone if len(seen.folds) == 1 else [f"fold {fold.fold + 1}/{len(seen.folds)}"]
    parts = [*parts, f"{fold.stage} {fold.epoch}/{fold.epochs}"]
    parts += [] if fold.loss is None else [f"loss {fold.loss:.3f}"]
    parts += [] if fold.accuracy is None else [f"accuracy {fold.accuracy:.3f}"]
    parts += [] if fold.images_per_second is None else [f"{fold.images_per_second:,.0f} images/s"]
    parts += [] if seen.seconds_left is None else [f"{seen.seconds_left:.0f} s left"]
    return " · ".join(parts)
