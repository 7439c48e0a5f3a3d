"""`rounds`: a dataset's rounds as they followed one another."""

from typing import TYPE_CHECKING, Any

from app.commands.speaking import DatasetName, JsonFlag, quoted, say, say_json, say_table, tell

if TYPE_CHECKING:
    from app.services.datasets import DatasetInfo
    from app.services.history import Past
    from app.services.rounds import Comparison

SHOWN = 10  # class pairs
_DECIDED = ("accept", "bulk", "relabel", "keep", "ambiguous", "exclude")


def rounds_(*, dataset: DatasetName, as_json: JsonFlag = False) -> None:
    """List a dataset's rounds, newest first: recipe, results, and what changed in labels and settings.

    "changed" are labels (of masks: images) that differ from those the round before opened with, "from given" those
    that differ from what the dataset came with. Rounds of before this was noted say "unknown". "wrong labels" are
    unknown until a random sample of the round's findings is judged (`audit`). Bulk accepts follow, each with its
    certificate or with what else was known of it.

    Examples:
      python -m app rounds pets
      python -m app rounds pets --json
    """
    from app.commands.naming import dataset_named, workspace
    from app.services import rounds
    from app.services.history import history

    opened = workspace()
    info = dataset_named(opened, dataset)
    past = history(opened, rounds.list_rounds(opened, info.id))
    if as_json:
        say_json([_told(one, info) for one in past])
        return
    columns = (
        "round", "recipe", "status", "result", "suspicious", "decided", "wrong labels", "changed", "from given",
        "settings",
    )  # fmt: skip
    say_table(
        columns, [_row(one) for one in past], numbers=("result", "suspicious", "decided", "changed", "from given")
    )
    newest = next((one for one in past if one.before is not None), None)
    if newest is not None and newest.before is not None and newest.before["pairs"]:
        unit = "labels" if newest.before["pixels"] is None else "pixels"
        say(f"\n{newest.round.name} opened with these changes since round {newest.before['round']}:")
        say_table(["from", "to", unit], _named(newest.before["pairs"][:SHOWN], info), numbers=[unit])
        if newest.verdicts:
            decided = [f"{newest.verdicts[name]:,} {name}" for name in _DECIDED if name in newest.verdicts]
            say(f"decided in between: {', '.join(decided)}")
    for act in (act for one in reversed(past) for act in one.bulk_acts):
        say(f"accepted in bulk in round {act.round}: {act.size:,} ({act.set}; {act.annotator}). {act.text}")
    if not past:
        tell(f"no round yet; start one: python -m app round {quoted(info.name)}")


def _row(one: "Past") -> tuple[object, ...]:
    compared, info = one.compared, one.round
    result = info.accuracy if info.mean_iou is None else info.mean_iou
    return (
        info.number,
        info.recipe.value,
        info.status.value,
        "" if result is None else f"{result:.1%}",
        *_found(compared),
        compared.wrong.short if compared and compared.wrong else "",
        "" if compared is None else _changed(one.before, first=one.is_first),
        "" if compared is None else _changed(one.given),
        one.changed_settings,
    )


def _found(compared: "Comparison | None") -> tuple[str, str]:
    """Return what contradicts labels and how much of it is decided, in words where a round only proposes."""
    if compared is None:
        return "", ""
    found, decided = compared.looked_for
    return f"{found:,}" + " proposed" * compared.round.recipe.proposes, f"{decided:,}"


def _changed(found: Any, *, first: bool = False) -> str:  # noqa: ANN401 JSON
    if found is None:
        return "" if first else "unknown"
    return f"{found['changed']:,}"


def _told(one: "Past", info: "DatasetInfo") -> dict[str, Any]:
    compared = one.compared
    return {
        "round": one.round,
        "suspicious": None if compared is None else compared.suspicious,
        "decided": None if compared is None else compared.decided,
        "proposed": None if compared is None else compared.proposed,
        "proposed_decided": None if compared is None else compared.proposed_decided,
        "metrics": {} if compared is None else compared.numbers,
        "wrong_labels": compared.wrong.as_json() if compared and compared.wrong else None,
        "bulk_acts": [act.as_json() for act in one.bulk_acts],
        "settings": {name: list(pair) for name, pair in one.settings.items()},
        "since_given": _with_names(one.given, info),
        "since_round_before": _with_names(one.before, info),
        "verdicts": one.verdicts,
    }


def _with_names(found: Any, info: "DatasetInfo") -> dict[str, Any] | None:  # noqa: ANN401 JSON
    if found is None:
        return None
    pairs = [{"from": first, "to": second, "count": count} for first, second, count in _named(found["pairs"], info)]
    return {**found, "pairs": pairs}


def _named(pairs: list[list[int]], info: "DatasetInfo") -> list[tuple[str | None, str | None, int]]:
    names = [*info.classes, None]  # what nobody labelled is class -1
    return [(names[first], names[second], count) for first, second, count in pairs]
