"""`round`, `label`, `impact`: start of rounds, each with the options of its recipes."""

import json
import shlex
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.commands.console import ByName, DatasetName, JsonFlag, echo, echo_json, fail, inform, progress_bar, shell_quote
from app.commands.round_results import echo_impact, finish_round, show_round, watch_round
from core.config import ProbabilityMethod
from core.types import ConfigError, JobStatus, Recipe, counted

if TYPE_CHECKING:
    from app.services.app_context import AppContext
    from app.services.datasets import DatasetInfo
    from app.services.rounds.jobs import RoundInfo
    from core.config import Member, RoundConfig


def round_(
    *,
    dataset: DatasetName,
    folds: Annotated[int | None, typer.Option(help="Models to train; each predicts its held-out part.")] = None,
    method: Annotated[str | None, typer.Option(help="fine-tune or probe.")] = None,
    model: Annotated[str | None, typer.Option(help="small_cnn or any timm name.")] = None,
    weights: Annotated[str | None, typer.Option(help="none, packaged, pretrained (needs the network) or file.")] = None,
    weights_file: Annotated[
        str | None, typer.Option(help="A .safetensors or .pth file, or a folder of the hub's.")
    ] = None,
    weights_mean: Annotated[
        str | None, typer.Option(help="Mean of the images that the file was trained with, for example 0.5,0.5,0.5.")
    ] = None,
    weights_std: Annotated[str | None, typer.Option(help="Standard deviation of these images.")] = None,
    weights_padding: Annotated[str | None, typer.Option(help="'same' if its network pads like TensorFlow.")] = None,
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
            "epochs ... Others are those of the first network. May be repeated; for class labels.",
        ),
    ] = None,
    add_to: Annotated[
        int | None,
        typer.Option(help="Add the --network to the finished round of this number: only the added network is trained."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of folds and weights.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = None,
    recipe: Annotated[Recipe, typer.Option(help="Recipe of the round.")] = Recipe.CROSS_FOLD,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A setting of the recipe; may be repeated.")
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Start it and return; a worker must be running.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Watch the round that runs instead of starting one.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan and its estimated duration; start nothing.")
    ] = False,
    cancel: Annotated[bool, typer.Option("--cancel", help="Cancel the round that waits or runs.")] = False,
    resume: Annotated[
        int | None, typer.Option(help="Resume the cancelled or failed round of this number; finished folds stay.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Train a round on a dataset and watch it until it has its findings.

    Options that are not given are chosen for the dataset. When no worker is running, this command starts one for its
    duration. Ctrl+C asks whether to cancel the round; without a terminal, or after a no, the round continues in the
    running worker or in the next one that is started.

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
      python -m app round pets --resume 2
    """
    from app.commands.lookup import app_context, get_dataset, get_round, person
    from app.services.rounds import jobs as rounds
    from app.services.rounds.resume import add_network

    opened = app_context()
    info = get_dataset(opened, dataset)
    unfinished = next((each for each in rounds.list_rounds(opened, info.id) if not each.status.ended), None)
    if cancel or watch:
        if unfinished is None:
            fail(
                f"no round of {info.name} waits or runs",
                f"start one with: python -m app round {shell_quote(info.name)}",
            )
        if cancel:
            _cancel(opened, unfinished, as_json=as_json)
            return
        started = unfinished
    elif resume is not None:
        started = _resume(opened, info, resume)
    else:
        options = {
            "weights_mean": _parse_numbers("--weights-mean", weights_mean), "weights_padding": weights_padding,
            "weights_std": _parse_numbers("--weights-std", weights_std),
            "folds": folds, "method": method, "model": model, "weights": weights, "weights_file": weights_file,
            "input_size": input_size, "epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate,
            "seed": seed, "device": device,
        }  # fmt: skip
        if recipe is Recipe.LABELLING:
            fail(f"images are labelled by hand with: python -m app label {shell_quote(info.name)}")
        if add_to is None:
            config = _config(opened, info.id, recipe, options, networks or [])
            if dry_run:
                own = _parse_settings(settings or [])
                _echo_plan(opened, info.id, recipe, config, own, as_json=as_json)
                return
            started = rounds.start_round(
                opened, info.id, config, person(""), recipe=recipe, recipe_config=_parse_settings(settings or [])
            )
        else:
            if dry_run:
                fail("--dry-run measures a new round, not one of --add-to", "leave one of them out")
            chosen = get_round(opened, info, add_to)
            started = add_network(opened, chosen.id, _added_network(chosen, networks or [], options), person(""))
    if detach:
        show_round(opened, started, as_json=as_json)
        return
    finish_round(opened, watch_round(opened, started, quiet=as_json), as_json=as_json)


def label(
    *,
    dataset: DatasetName,
    classes: Annotated[
        list[str] | None, typer.Option("--class", metavar="NAME", help="A class of a dataset without any; repeat it.")
    ] = None,
    masks: Annotated[
        bool,
        typer.Option("--masks", help="The labels are masks, painted or tagged in the browser, unordered."),
    ] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Start it and return; a worker must be running.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Order a dataset's unlabelled images by similarity, to label them in the browser.

    Look-alikes are adjacent there, and one key labels many. About 60 labels are enough for a first round.

    Examples:
      python -m app label pets --class cat --class dog
      python -m app label cells --masks --class background --class cell
    """
    from app.commands.lookup import app_context, get_dataset, person
    from app.services.rounds import labelling

    opened = app_context()
    info = get_dataset(opened, dataset)
    if masks:
        labelling.use_masks(opened, info.id, classes or ())
        echo(f"the labels of {info.name} are masks; paint some in the browser: python -m app serve")
        return
    started = labelling.start_labelling(opened, info.id, person(""), classes=classes or ())
    if not detach and not started.status.ended:
        started = watch_round(opened, started, quiet=as_json)
        if started.status is not JobStatus.DONE:
            fail(started.message or f"{started.name} of {started.dataset} was {started.status}")
    show_round(opened, started, as_json=as_json)
    if not as_json and started.status is JobStatus.DONE:
        left = labelling.labelling_state(opened, info.id).unlabelled
        echo(f"{counted(left, 'image')} without a label")
        inform(f"label them in the browser: python -m app serve; then: python -m app round {shell_quote(info.name)}")


def impact(
    *,
    dataset: DatasetName,
    seeds: Annotated[int | None, typer.Option(help="Trainings of each side; default 3.")] = None,
    last: Annotated[bool, typer.Option("--last", help="Print the newest result; train nothing.")] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Start it and return; a worker must be running.")] = False,
    by: ByName = "",
    as_json: JsonFlag = False,
) -> None:
    """Measure the impact of cleaning: train on the given and on the cleaned labels, and compare.

    Both models are measured on the images of the evaluation splits that people judged; these splits are excluded from
    training. A difference comes with its interval; where that contains 0, no difference is shown.

    Examples:
      python -m app impact pets
      python -m app impact pets --seeds 5 --json
      python -m app impact pets --last
    """
    from app.commands.lookup import app_context, get_dataset, person
    from app.services.evaluation import impact as comparing

    opened = app_context()
    info = get_dataset(opened, dataset)
    if last:
        found = comparing.newest(comparing.comparisons(opened, info.id))
        if found is None:
            fail(f"no comparison of {info.name} is done", f"start one: python -m app impact {shell_quote(info.name)}")
        echo_impact(opened, found.round, as_json=as_json)
        return
    started = comparing.start(opened, info.id, person(by), seeds=seeds)
    if detach:
        show_round(opened, started, as_json=as_json)
        return
    finish_round(opened, watch_round(opened, started, quiet=as_json), as_json=as_json)


def _resume(opened: "AppContext", info: "DatasetInfo", number: int) -> "RoundInfo":
    from app.services.rounds import jobs as rounds, resume as resuming

    found = next((each for each in rounds.list_rounds(opened, info.id) if each.number == number), None)
    if found is None:
        fail(f"{info.name} has no round {number}", f"python -m app rounds {shell_quote(info.name)} lists them")
    return resuming.resume_round(opened, found.id)


def _config(
    opened: "AppContext", dataset_id: int, recipe: Recipe, options: dict[str, Any], networks: list[str]
) -> "RoundConfig":
    from app.services.rounds import jobs as rounds
    from core.config import ProbabilityMethod, RoundConfig, as_fine_tuning, further_network, with_model

    proposed = rounds.propose_config(opened, dataset_id)
    if recipe.proposes and options["method"] != ProbabilityMethod.PROBE:
        proposed = as_fine_tuning(proposed)
    if options["model"] is not None:
        proposed = with_model(proposed, options["model"])
    first = RoundConfig.from_json(
        proposed.to_json() | {name: value for name, value in options.items() if value is not None}
    )
    return replace(first, members=tuple(further_network(first, _parse_network(one)) for one in networks))


def _added_network(chosen: "RoundInfo", networks: list[str], options: dict[str, Any]) -> "Member":
    """Return the network to add to a finished round, whose own settings stay."""
    from core.config import RoundConfig, further_network

    given = [f"--{name.replace('_', '-')}" for name, value in options.items() if value is not None]
    if given:
        fail(
            f"--add-to keeps the settings of {chosen.name}", f"leave out {', '.join(given)}, or name them in --network"
        )
    if len(networks) != 1:
        fail("--add-to needs one --network, for example --network 'model=resnet18 weights=pretrained'")
    return further_network(RoundConfig.from_json(chosen.config), _parse_network(networks[0]))


def _parse_network(text: str) -> dict[str, Any]:
    """Return the settings in a text such as `model=resnet18 weights=pretrained`."""
    values: dict[str, Any] = {}
    for one in shlex.split(text):
        name, equals, value = one.partition("=")
        if not equals:
            fail(f"--network {shell_quote(text)} names no value for {one}", "write NAME=VALUE with a space between two")
        listed = name in {"weights_mean", "weights_std"}
        values[name] = _parse_numbers(f"--network {name}", value) if listed else _parse_value(value)
    return values


def _echo_plan(
    opened: "AppContext",
    dataset_id: int,
    recipe: Recipe,
    config: "RoundConfig",
    settings: dict[str, Any],
    *,
    as_json: bool,
) -> None:
    """Print the plan of a round and its estimated duration, if a trial measured it."""
    from app.services.recipes import RECIPES
    from app.services.rounds import jobs as rounds, preview

    if recipe is Recipe.CROSS_FOLD:
        rounds.refuse_folds(opened, dataset_id, config)
    seconds, why = None, "its time is unknown"
    if recipe.timed:
        try:
            with progress_bar("measuring the time it takes", quiet=as_json):
                known = preview.estimate_times(opened, dataset_id, [config])
            seconds, costs = known.seconds[0], known.costs[0]
            if not recipe.in_folds:
                own = RECIPES[recipe].settings.from_json(settings)
                seconds = own.seconds(costs, config.epochs, config.batch_size) if costs else None
        except ConfigError as error:
            why = str(error)
    if as_json:
        echo_json(
            {"recipe": recipe, "config": config.to_json(), "seconds": seconds} | ({} if seconds else {"why": why})
        )
        return
    epochs = f", {config.epochs} epochs" if config.method is ProbabilityMethod.FINE_TUNE else ""
    way = f"{config.folds} folds" if recipe.in_folds else recipe.goal
    echo(f"{config.method} of {config.model} at {config.seen_size} pixels, {way}{epochs}")
    echo(why if seconds is None else f"{preview.about_time(seconds)} on this machine")


def _parse_numbers(option: str, text: str | None) -> list[float] | None:
    """Return the numbers of a text such as `0.5,0.5,0.5`."""
    try:
        return None if text is None else [float(part) for part in text.split(",")]
    except ValueError:
        fail(f"{option} {text} is not a list of numbers", f"write {option} 0.5,0.5,0.5")


def _parse_settings(pairs: list[str]) -> dict[str, Any]:
    """Return the settings of NAME=VALUE pairs; a value is JSON where it is valid JSON, else a text."""
    values: dict[str, Any] = {}
    for one in pairs:
        name, equals, value = one.partition("=")
        if not equals:
            fail(f"--set {one} names no value", "write --set NAME=VALUE")
        values[name.strip()] = _parse_value(value)
    return values


def _parse_value(text: str) -> Any:  # noqa: ANN401  JSON
    """Return the JSON value of a text, else the text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _cancel(opened: "AppContext", unfinished: "RoundInfo", *, as_json: bool) -> None:
    from app.services.rounds import jobs as rounds

    rounds.cancel_round(opened, unfinished.id)
    show_round(opened, unfinished, as_json=as_json)
