"""`accept`, `undo`, `redo`: what the review page does, without looking."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.commands.reviewing import (
    AboveOrNone,
    Below,
    Given,
    Narrowed,
    PathPart,
    RoundNumber,
    Show,
    Shown,
    Split,
    Suggested,
    class_name,
)
from app.commands.speaking import (
    ByName,
    DatasetName,
    JsonFlag,
    can_ask,
    fail,
    quoted,
    say,
    say_hints,
    say_json,
    say_table,
    tell,
    whole_percent,
)

_BASIS = "set by agreement with the given labels"

if TYPE_CHECKING:
    from app.services.datasets import DatasetInfo
    from app.services.reviews import Preview, Saved


def accept(
    *,
    dataset: DatasetName,
    above: AboveOrNone = None,
    by_class: Annotated[
        bool, typer.Option("--by-class", help="Accept from each class's own threshold on; only with --show unlabelled.")
    ] = False,
    show: Shown = Show.SUSPICIOUS,
    round_: RoundNumber = None,
    given: Given = None,
    suggested: Suggested = None,
    below: Below = 1.0,
    split: Split = None,
    path: PathPart = "",
    certified: Annotated[
        bool, typer.Option("--certified", help="Refuse unless a random sample certifies this very set; see `audit`.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    by: ByName = "",
    as_json: JsonFlag = False,
) -> None:
    """Accept the suggestion of every open finding above a threshold, as one act that can be undone.

    Verdicts of people are never touched, nor is anything of an evaluation split. How many of the suggestions are right
    is unknown until people judge a random sample of them: `audit` draws one.

    Examples:
      python -m app accept pets --above 0.95 --dry-run
      python -m app accept pets --above 0.95 --yes
      python -m app accept pets --above 0.95 --certified --yes
      python -m app accept pets --above 0.8 --given cat --suggested dog --yes --json
      python -m app accept pets --show unlabelled --by-class --yes
    """
    from app.commands.naming import dataset_named, person, workspace
    from app.services import reviews

    opened = workspace()
    info = dataset_named(opened, dataset)
    if above is None and not by_class:
        raise typer.BadParameter("say --above a confidence, or --by-class with --show unlabelled")
    chosen = Narrowed(show, round_, given, suggested, above or 0.0, below, split, path).filter(opened, info)
    if by_class:
        chosen = reviews.by_class(opened, chosen)
    seen = reviews.preview(opened, chosen)
    hints = reviews.hints(opened, chosen.round_id)
    if not as_json:
        _show_changes(seen, info)
        say_hints(hints)
    if seen.left_out and not seen.count:
        fail(seen.left_out_words)
    if certified and seen.known.certificate is None:
        fail(f"this set has no certificate; judge a random sample of it: python -m app audit {quoted(info.name)}")
    if dry_run or not seen.count:
        if as_json:
            say_json({"accepted": 0, "would_change": seen.count, **_told(seen, info), "hints": hints})
        return
    if not yes:
        _ask(f"Accept {seen.count:,} suggestions?")
    saved = reviews.accept_all(opened, chosen, by=person(by), expected=seen.count, certified=certified)
    if as_json:
        say_json({"accepted": saved.size, "changeset": saved.changeset, **_told(seen, info), "hints": hints})
        return
    word = "certified" if saved.known and saved.known["certified"] else "not certified"
    say(f"accepted {saved.size:,} (changeset {saved.changeset}, {word})")
    tell(f"take it back: python -m app undo {quoted(info.name)} --changeset {saved.changeset}")


def undo(
    *,
    dataset: DatasetName,
    changeset: Annotated[int | None, typer.Option(help="This act instead of your newest one.")] = None,
    by: ByName = "",
    as_json: JsonFlag = False,
) -> None:
    """Take back your newest act in a dataset: a verdict, or everything one accept changed.

    What people decided since stays.

    Examples:
      python -m app undo pets
      python -m app undo pets --changeset 12
    """
    from app.commands.naming import dataset_named, person, workspace
    from app.services import reviews

    opened = workspace()
    info = dataset_named(opened, dataset)
    saved = reviews.undo(opened, info.id, by=person(by), changeset_id=changeset)
    _turned(saved, "undone", f"{person(by)} has nothing to undo in {info.name}; --by names another person", as_json)


def redo(*, dataset: DatasetName, by: ByName = "", as_json: JsonFlag = False) -> None:
    """Bring back what you undid last, unless you acted anew since.

    Examples:
      python -m app redo pets
    """
    from app.commands.naming import dataset_named, person, workspace
    from app.services import reviews

    opened = workspace()
    info = dataset_named(opened, dataset)
    saved = reviews.redo(opened, info.id, by=person(by))
    _turned(saved, "redone", f"{person(by)} has nothing to redo in {info.name}; --by names another person", as_json)


def _turned(saved: "Saved", word: str, nothing: str, as_json: bool) -> None:  # noqa: FBT001 passed on as it came
    if saved.undone is None:
        fail(nothing)
    if as_json:
        say_json({word: saved.undone, "changeset": saved.changeset})
    else:
        say(f"{word}: {saved.undone.text}")


def _ask(question: str) -> None:
    """Go on only when a person says yes.

    Raises:
        typer.BadParameter: there is no terminal to ask in.
        typer.Exit: the answer is no.
    """
    if not can_ask():
        raise typer.BadParameter("there is no terminal to ask in; add --yes to accept, or --dry-run to look")
    if not typer.confirm(question, default=False, err=True):
        tell("nothing was changed")
        raise typer.Exit(1)


def _show_changes(seen: "Preview", info: "DatasetInfo") -> None:
    where = (
        f"from each class's own threshold on ({_BASIS})"
        if seen.threshold is None
        else f"at {seen.threshold:.2f} and above"
    )
    say(f"{seen.count:,} labels would change {where}. {seen.known.text}")
    if seen.known.precision is None and seen.known.model is not None:
        say(f"The model's own estimate, unverified: {whole_percent(seen.known.model)} of them right.")
    if seen.left_out:
        say(seen.left_out_words)
    rows = [(each["from"], each["to"], each["count"]) for each in _changes(seen, info)]
    if rows:
        say_table(["from", "to", "labels"], rows, numbers=["labels"])


def _told(seen: "Preview", info: "DatasetInfo") -> dict[str, Any]:
    return {"left_out": seen.left_out, "known": seen.known.as_note(), "changes": _changes(seen, info)}


def _changes(seen: "Preview", info: "DatasetInfo") -> list[dict[str, Any]]:
    return [
        {"from": class_name(info, given), "to": class_name(info, pseudo), "count": count}
        for given, pseudo, count in seen.changes
    ]
