"""`findings`, `audit`, `accept`, `undo`, `redo`: the review without a browser, and the options that choose findings."""

import csv
import io
import sys
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.commands.console import (
    ByName,
    DatasetName,
    JsonFlag,
    confirm,
    echo,
    echo_hints,
    echo_json,
    echo_table,
    fail,
    inform,
    progress_bar,
    shell_quote,
    whole_percent,
)
from core.types import Finding, FindingFilter, FindingKind, Order, Status

if TYPE_CHECKING:
    from app.services.app_context import AppContext
    from app.services.datasets import DatasetInfo

PAGE = 500  # findings read at once
_BASIS_OF_CLASS_THRESHOLDS = "set by agreement with the given labels"


class KindOption(StrEnum):
    """Kinds of findings, as `--show` names them."""

    SUSPICIOUS = "suspicious"
    AGREEING = "agreeing"
    UNLABELLED = "unlabelled"


Shown = Annotated[
    KindOption, typer.Option("--show", help="Labels that the models contradict, agree with, or that are missing.")
]
RoundNumber = Annotated[int | None, typer.Option("--round", help="The round's number; default: the newest finished.")]
Given = Annotated[str | None, typer.Option(help="Only this given class.")]
Suggested = Annotated[str | None, typer.Option(help="Only this suggested class.")]
Split = Annotated[str | None, typer.Option(help="Only this split.")]
PathPart = Annotated[str, typer.Option(help="Only paths that contain this text.")]
_ABOVE = typer.Option(min=0, max=1, help="Only with at least this confidence.")
Above = Annotated[float, _ABOVE]
AboveOrNone = Annotated[float | None, _ABOVE]
Below = Annotated[float, typer.Option(min=0, max=1, help="Only with less confidence than this.")]


@dataclass(frozen=True, slots=True)
class FindingOptions:
    """Options that choose findings of a round."""

    show: KindOption
    round: int | None
    given: str | None
    suggested: str | None
    above: float
    below: float
    split: str | None
    path: str

    def filter(self, opened: "AppContext", info: "DatasetInfo") -> FindingFilter:
        """Return the filter of open findings; end the command where a name is unknown."""
        from app.commands.lookup import get_round, present_class

        return FindingFilter(
            round_id=get_round(opened, info, self.round).id,
            kinds=frozenset({FindingKind[self.show.name]}),
            given=present_class(info, self.given),
            pseudo=present_class(info, self.suggested),
            min_confidence=self.above,
            max_confidence=self.below,
            split=self.split,
            path_contains=self.path,
        )


def class_name(info: "DatasetInfo", label: int) -> str | None:
    """Return a class's name, None without a label."""
    return info.classes[label] if label >= 0 else None


class ReviewState(StrEnum):
    """Review state of the listed findings."""

    TODO = "todo"
    DECIDED = "decided"
    ANY = "any"


class Form(StrEnum):
    """Output format of a list."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


def findings(
    *,
    dataset: DatasetName,
    round_: RoundNumber = None,
    limit: Annotated[int, typer.Option(min=1, help="Largest number of rows.")] = 20,
    show: Shown = KindOption.SUSPICIOUS,
    status: Annotated[ReviewState, typer.Option(help="Their review state.")] = ReviewState.TODO,
    given: Given = None,
    suggested: Suggested = None,
    above: Above = 0.0,
    below: Below = 1.0,
    split: Split = None,
    path: PathPart = "",
    order: Annotated[Order, typer.Option(help="Their order.")] = Order.SUSPICION,
    form: Annotated[Form, typer.Option("--format", help="Output format.")] = Form.TABLE,
    as_json: JsonFlag = False,
) -> None:
    """List the findings of a round, the most suspicious first.

    Of masks each row is a region: the box around it as x,y,width,height and its area, in pixels of the image.

    Examples:
      python -m app findings pets
      python -m app findings pets --limit 100 --above 0.9 --format csv > suspects.csv
      python -m app findings pets --given cat --suggested dog --json
    """
    from app.commands.lookup import app_context, get_dataset
    from app.services import reviews

    opened = app_context()
    info = get_dataset(opened, dataset)
    statuses = {
        ReviewState.TODO: frozenset(status for status in Status if not status.settled),
        ReviewState.DECIDED: frozenset(status for status in Status if status.settled),
        ReviewState.ANY: frozenset(Status),
    }
    narrowed = FindingOptions(show, round_, given, suggested, above, below, split, path)
    chosen = replace(narrowed.filter(opened, info), statuses=statuses[status])
    found: list[Finding] = []
    after = None
    while len(found) < limit:
        page = reviews.page(opened, chosen, order, after, min(PAGE, limit - len(found)))
        found += page.items
        after = page.next
        if after is None:
            break
    several = _several_networks(opened, chosen.round_id)
    _print([_finding_values(finding, info, several=several) for finding in found], Form.JSON if as_json else form)
    if form is Form.TABLE and not as_json:
        inform(f"{len(found):,} of {reviews.count(opened, chosen):,}" if found else "nothing fits")


def _several_networks(opened: "AppContext", round_id: int) -> bool:
    from app.services.rounds import jobs as rounds

    return bool(rounds.get_round(opened, round_id).config.get("members"))


def _finding_values(finding: Finding, info: "DatasetInfo", *, several: bool) -> dict[str, Any]:
    networks = {"networks_contradicting": finding.contradicting} if several else {}
    return {
        "finding": finding.id,
        "name": finding.name,
        "given": class_name(info, finding.given),
        "suggested": class_name(info, finding.pseudo),
        "confidence": round(finding.confidence, 4),
        "given_confidence": round(finding.self_confidence, 4),
        **networks,
        "status": finding.status.name.lower(),
        "label": None if finding.label is None else class_name(info, finding.label),
        "by": finding.annotator,
        "split": finding.split,
        "fold": finding.fold,
        "box": finding.box,
        "area": finding.area,
        "path": finding.path,
        "content_hash": finding.content_hash,
        **_place(finding),
    }


def _place(finding: Finding) -> dict[str, int | None]:
    """Return the box and area of a region, in pixels; empty for a whole image."""
    if finding.box is None:
        return {}
    return {**dict(zip(("x", "y", "width", "height"), finding.box, strict=True)), "area": finding.area}


def _print(found: list[dict[str, Any]], form: Form) -> None:
    if form is Form.JSON:
        echo_json(found)
    elif form is Form.CSV:
        written = io.StringIO()
        writer = csv.DictWriter(written, list(found[0]) if found else ["finding"], lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: _cell(value) for name, value in each.items()} for each in found)
        sys.stdout.write(written.getvalue())
    else:
        regions = ("box", "area") if any(each["area"] is not None for each in found) else ()
        columns = ("name", *regions, "given", "suggested", "confidence", "status", "label", "by")
        rows = [[_cell(each[name]) for name in columns] for each in found]
        echo_table(columns, rows, numbers=["confidence", "area"])


def _cell(value: object) -> object:
    """Return the text of a cell; a box as x,y,width,height."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else value


def audit(
    *,
    dataset: DatasetName,
    above: Above = 0.0,
    show: Shown = KindOption.SUSPICIOUS,
    round_: RoundNumber = None,
    given: Given = None,
    suggested: Suggested = None,
    below: Below = 1.0,
    split: Split = None,
    path: PathPart = "",
    size: Annotated[int, typer.Option(min=1, max=10_000, help="Cards of the random order to list.")] = 60,
    target: Annotated[str, typer.Option(metavar="SHARE", help="Share of right suggestions to certify.")] = "0.95",
    by: ByName = "",
    as_json: JsonFlag = False,
) -> None:
    """Draw a random sample of a set of findings, or continue its audit, and print the result so far.

    The set is all findings that the options choose, decided ones included. Its random order is fixed; verdicts on the
    first cards of that order, made in the browser, are the evidence. Sixty verdicts estimate the share of right
    suggestions; 47 to 85 flawless ones, depending on the size of the set, certify 95 %. A sample of all suspicious
    findings (no options) and one of all agreeing ones (--show agreeing) together estimate the number of wrong labels in
    the dataset.

    Examples:
      python -m app audit pets
      python -m app audit pets --above 0.95 --size 100
      python -m app audit pets --show agreeing
      python -m app audit pets --above 0.95 --json
    """
    from app.commands.lookup import app_context, get_dataset, person
    from app.services import reviews
    from app.services.reviews import audits

    opened = app_context()
    info = get_dataset(opened, dataset)
    chosen = FindingOptions(show, round_, given, suggested, above, below, split, path).filter(opened, info)
    seen = audits.start(opened, chosen, by=person(by), target=target)
    cards = audits.first_cards(opened, seen.audit.id, size)
    recalibration = reviews.recalibration(opened, seen.audit.round_id)
    hints = reviews.hints(opened, seen.audit.round_id)
    if as_json:
        listed = [_card(place, card, info) for place, card in enumerate(cards)]
        more = {"recalibration": recalibration.as_json() if recalibration else None, "hints": hints, "cards": listed}
        echo_json(seen.as_json() | more)
        return
    order = "" if seen.audit.number == 1 else f", set {seen.audit.number} of its round: {1 - seen.audit.alpha:.4g} sure"
    echo(f"Audit {seen.audit.id} of {seen.audit.size:,} findings{order}: {seen.text}")
    echo(f"{reviews.share_text(seen.estimate)}." if seen.estimate else "Precision unknown: too few random verdicts.")
    if recalibration:
        _echo_recalibration(recalibration)
    echo_hints(hints)
    rows = [
        (place + 1, card.name, class_name(info, card.given), class_name(info, card.pseudo), card.status.name.lower())
        for place, card in enumerate(cards)
    ]
    echo_table(["place", "name", "given", "suggested", "status"], rows, numbers=["place"])
    inform(f"judge them in the browser: review?round={seen.audit.round_id}&audit={seen.audit.id}")


def _echo_recalibration(found: Any) -> None:  # noqa: ANN401  app.services.reviews.Recalibration, imported lazily
    echo(f"Threshold: {found.proposed_threshold or 'none proposed'} ({found.reason}).")
    if found.warning:
        echo(found.warning)
    if found.wrong:
        echo(found.wrong.text)


def _card(place: int, card: "Finding", info: "DatasetInfo") -> dict[str, Any]:
    return {
        "place": place,
        "finding": card.id,
        "name": card.name,
        "given": class_name(info, card.given),
        "suggested": class_name(info, card.pseudo),
        "confidence": card.confidence,
        "status": card.status.name.lower(),
        "label": None if card.label is None else class_name(info, card.label),
        "by": card.annotator,
        "path": card.path,
    }


if TYPE_CHECKING:
    from app.services.datasets import DatasetInfo
    from app.services.reviews import BulkPreview, Saved


def accept(
    *,
    dataset: DatasetName,
    above: AboveOrNone = None,
    by_class: Annotated[
        bool, typer.Option("--by-class", help="Use the threshold of each class; only with --show unlabelled.")
    ] = False,
    show: Shown = KindOption.SUSPICIOUS,
    round_: RoundNumber = None,
    given: Given = None,
    suggested: Suggested = None,
    below: Below = 1.0,
    split: Split = None,
    path: PathPart = "",
    certified: Annotated[
        bool, typer.Option("--certified", help="Refuse unless a random sample certifies this set; see `audit`.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the changes.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    by: ByName = "",
    as_json: JsonFlag = False,
) -> None:
    """Accept the suggestion of every open finding above a threshold, as one act that can be undone.

    Verdicts of people and evaluation splits are never changed. The share of right suggestions is unknown until people
    judge a random sample of them: `audit` draws one.

    Examples:
      python -m app accept pets --above 0.95 --dry-run
      python -m app accept pets --above 0.95 --yes
      python -m app accept pets --above 0.95 --certified --yes
      python -m app accept pets --above 0.8 --given cat --suggested dog --yes --json
      python -m app accept pets --show unlabelled --by-class --yes
    """
    from app.commands.lookup import app_context, get_dataset, person
    from app.services import reviews

    opened = app_context()
    info = get_dataset(opened, dataset)
    if above is None and not by_class:
        raise typer.BadParameter("say --above a confidence, or --by-class with --show unlabelled")
    chosen = FindingOptions(show, round_, given, suggested, above or 0.0, below, split, path).filter(opened, info)
    if by_class:
        chosen = reviews.with_class_thresholds(opened, chosen)
    seen = reviews.preview(opened, chosen)
    hints = reviews.hints(opened, chosen.round_id)
    if not as_json:
        _show_changes(seen, info)
        echo_hints(hints)
    if seen.left_out and not seen.count:
        fail(seen.left_out_words)
    if certified and seen.known.certificate is None:
        fail(
            "this set has no certificate", f"judge a random sample of it: python -m app audit {shell_quote(info.name)}"
        )
    if dry_run or not seen.count:
        if as_json:
            echo_json({"accepted": 0, "would_change": seen.count, **_bulk_values(seen, info), "hints": hints})
        return
    if not yes:
        confirm(f"Accept {seen.count:,} suggestions?", doing="accept, or --dry-run to look")
    with progress_bar("Accept", quiet=as_json) as draw:
        saved = reviews.accept_all(
            opened, chosen, by=person(by), expected=seen.count, certified=certified,
            report=lambda done, size: draw(done, size, f"accepted {done:,}"),
        )  # fmt: skip
    if as_json:
        echo_json({"accepted": saved.size, "changeset": saved.changeset, **_bulk_values(seen, info), "hints": hints})
        return
    word = "certified" if saved.known and saved.known["certified"] else "not certified"
    echo(f"accepted {saved.size:,} (changeset {saved.changeset}, {word})")
    inform(f"take it back: python -m app undo {shell_quote(info.name)} --changeset {saved.changeset}")


def undo(
    *,
    dataset: DatasetName,
    changeset: Annotated[int | None, typer.Option(help="This act instead of your newest one.")] = None,
    by: ByName = "",
    as_json: JsonFlag = False,
) -> None:
    """Undo your newest act in a dataset: a verdict, or all changes of one accept.

    Later decisions of people stay.

    Examples:
      python -m app undo pets
      python -m app undo pets --changeset 12
    """
    from app.commands.lookup import app_context, get_dataset, person
    from app.services import reviews

    opened = app_context()
    info = get_dataset(opened, dataset)
    saved = reviews.undo(opened, info.id, by=person(by), changeset_id=changeset)
    _echo_undone(
        saved, "undone", f"{person(by)} has nothing to undo in {info.name}; --by names another person", as_json
    )


def redo(*, dataset: DatasetName, by: ByName = "", as_json: JsonFlag = False) -> None:
    """Redo the act you undid last, unless you acted since.

    Examples:
      python -m app redo pets
    """
    from app.commands.lookup import app_context, get_dataset, person
    from app.services import reviews

    opened = app_context()
    info = get_dataset(opened, dataset)
    saved = reviews.redo(opened, info.id, by=person(by))
    _echo_undone(
        saved, "redone", f"{person(by)} has nothing to redo in {info.name}; --by names another person", as_json
    )


def _echo_undone(saved: "Saved", word: str, nothing: str, as_json: bool) -> None:  # noqa: FBT001  passed on unchanged
    if saved.undone is None:
        fail(nothing)
    if as_json:
        echo_json({word: saved.undone, "changeset": saved.changeset})
    else:
        echo(f"{word}: {saved.undone.text}")


def _show_changes(seen: "BulkPreview", info: "DatasetInfo") -> None:
    where = (
        f"from each class's own threshold on ({_BASIS_OF_CLASS_THRESHOLDS})"
        if seen.threshold is None
        else f"at {seen.threshold:.2f} and above"
    )
    echo(f"{seen.count:,} labels would change {where}. {seen.known.text}")
    if seen.known.precision is None and seen.known.model is not None:
        echo(f"The model's own estimate, unverified: {whole_percent(seen.known.model)} of them right.")
    if seen.left_out:
        echo(seen.left_out_words)
    rows = [(each["from"], each["to"], each["count"]) for each in _changes(seen, info)]
    if rows:
        echo_table(["from", "to", "labels"], rows, numbers=["labels"])


def _bulk_values(seen: "BulkPreview", info: "DatasetInfo") -> dict[str, Any]:
    return {"left_out": seen.left_out, "known": seen.known.as_note(), "changes": _changes(seen, info)}


def _changes(seen: "BulkPreview", info: "DatasetInfo") -> list[dict[str, Any]]:
    return [
        {"from": class_name(info, given), "to": class_name(info, pseudo), "count": count}
        for given, pseudo, count in seen.changes
    ]
