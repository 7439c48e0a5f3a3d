"""`worth`: what the cleaning was worth, measured on what people judged of the evaluation splits."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.commands.rounds import finish_round, show_round, watch_round
from app.commands.speaking import ByName, DatasetName, JsonFlag, fail, quoted, say, say_json, say_table, tell

if TYPE_CHECKING:
    from app.services.rounds import RoundInfo
    from app.services.workspace import Workspace


def worth(
    *,
    dataset: DatasetName,
    seeds: Annotated[int | None, typer.Option(help="Trainings of each side; default 3. More show luck better.")] = None,
    last: Annotated[bool, typer.Option("--last", help="Print what the newest comparison said; train nothing.")] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Start it and return; a worker must be running.")] = False,
    by: ByName = "",
    as_json: JsonFlag = False,
) -> None:
    """Measure what the cleaning was worth: train on the given and on the cleaned labels, and compare.

    Both sides are judged on the images of the evaluation splits that people judged; nothing of these splits is learnt
    from. A difference comes with its interval; where that contains 0, no difference is shown.

    Examples:
      python -m app worth pets
      python -m app worth pets --seeds 5 --json
      python -m app worth pets --last
    """
    from app.commands.naming import dataset_named, person, workspace
    from app.services import worth as comparing

    opened = workspace()
    info = dataset_named(opened, dataset)
    if last:
        found = comparing.newest(comparing.comparisons(opened, info.id))
        if found is None:
            fail(f"no comparison of {info.name} is done; start one: python -m app worth {quoted(info.name)}")
        say_worth(opened, found.round, as_json=as_json)
        return
    started = comparing.start(opened, info.id, person(by), seeds=seeds)
    if detach:
        show_round(opened, started, as_json=as_json)
        return
    finish_round(opened, watch_round(opened, started, quiet=as_json), as_json=as_json)


def say_worth(opened: "Workspace", ended: "RoundInfo", *, as_json: bool) -> None:
    """Print what a finished comparison said."""
    from app.services import worth as comparing
    from core.judge.worth import MANY_CLASSES

    said = comparing.said(opened, ended).worth
    if said is None:
        fail(f"{ended.name} of {ended.dataset} kept no result; start it again")
    if as_json:
        say_json({"round": ended, "worth": said})
        return
    say(f"{ended.name} of {ended.dataset}. {said['sentence']}")
    for line in comparing.remarks(said):
        say(line)
    say_table(["class", "images", "original", "cleaned", "difference", "95 % interval", "p adjusted"], _rows(said))
    tell(MANY_CLASSES)  # not as an older result worded it


def _rows(said: dict[str, Any]) -> list[list[object]]:
    return [
        [
            one["name"],
            one["count"],
            f"{one['original']:.1%}",
            f"{one['cleaned']:.1%}",
            f"{100 * one['difference']:+.1f}",
            "too few images" if one["interval"] is None else _interval(one["interval"]),
            f"{one['p_adjusted']:.2g}",
        ]
        for one in said["per_class"]
    ]


def _interval(interval: dict[str, float]) -> str:
    return f"{100 * interval['low']:+.1f} to {100 * interval['high']:+.1f}"
