"""`findings`: what a round found, as a table or for scripts; and how commands narrow it down."""

import csv
import io
import sys
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.commands.speaking import DatasetName, JsonFlag, say_json, say_table, tell
from core.types import Finding, FindingFilter, FindingKind, Order, Status

if TYPE_CHECKING:
    from app.services.datasets import DatasetInfo
    from app.services.workspace import Workspace

PAGE = 500  # findings read at once


class Show(StrEnum):
    """Kinds of findings, as `--show` names them."""

    SUSPICIOUS = "suspicious"
    AGREEING = "agreeing"
    UNLABELLED = "unlabelled"


Shown = Annotated[Show, typer.Option("--show", help="Labels the models contradict, agree with, or that are missing.")]
RoundNumber = Annotated[int | None, typer.Option("--round", help="The round's number; default: the newest finished.")]
Given = Annotated[str | None, typer.Option(help="Only this given class.")]
Suggested = Annotated[str | None, typer.Option(help="Only this suggested class.")]
Split = Annotated[str | None, typer.Option(help="Only this split.")]
PathPart = Annotated[str, typer.Option(help="Only where the path contains this text.")]
_ABOVE = typer.Option(min=0, max=1, help="Only with at least this confidence.")
Above = Annotated[float, _ABOVE]
AboveOrNone = Annotated[float | None, _ABOVE]
Below = Annotated[float, typer.Option(min=0, max=1, help="Only with less confidence than this.")]


@dataclass(frozen=True, slots=True)
class Narrowed:
    """Options that choose findings of a round: its number, their kind, classes by name."""

    show: Show
    round: int | None
    given: str | None
    suggested: str | None
    above: float
    below: float
    split: str | None
    path: str

    def filter(self, opened: "Workspace", info: "DatasetInfo") -> FindingFilter:
        """Return the filter of open findings they choose; end the command where a name is unknown."""
        from app.commands.naming import class_named, round_numbered

        return FindingFilter(
            round_id=round_numbered(opened, info, self.round).id,
            kinds=frozenset({FindingKind[self.show.name]}),
            given=class_named(info, self.given),
            pseudo=class_named(info, self.suggested),
            min_confidence=self.above,
            max_confidence=self.below,
            split=self.split,
            path_contains=self.path,
        )


class Where(StrEnum):
    """How far their review is."""

    TODO = "todo"
    DECIDED = "decided"
    ANY = "any"


class Form(StrEnum):
    """How a list is printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


def findings(
    *,
    dataset: DatasetName,
    round_: RoundNumber = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 20,
    show: Shown = Show.SUSPICIOUS,
    status: Annotated[Where, typer.Option(help="Whether they wait for a verdict.")] = Where.TODO,
    given: Given = None,
    suggested: Suggested = None,
    above: Above = 0.0,
    below: Below = 1.0,
    split: Split = None,
    path: PathPart = "",
    order: Annotated[Order, typer.Option(help="Which come first.")] = Order.SUSPICION,
    form: Annotated[Form, typer.Option("--format", help="How to print them.")] = Form.TABLE,
    as_json: JsonFlag = False,
) -> None:
    """List what a round found, the most suspicious first.

    Of masks each row is a region: the box around it as x,y,width,height and its area, in pixels of the image.

    Examples:
      python -m app findings pets
      python -m app findings pets --limit 100 --above 0.9 --format csv > suspects.csv
      python -m app findings pets --given cat --suggested dog --json
    """
    from app.commands.naming import dataset_named, workspace
    from app.services import reviews

    opened = workspace()
    info = dataset_named(opened, dataset)
    statuses = {
        Where.TODO: frozenset(status for status in Status if not status.settled),
        Where.DECIDED: frozenset(status for status in Status if status.settled),
        Where.ANY: frozenset(Status),
    }
    narrowed = Narrowed(show, round_, given, suggested, above, below, split, path)
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
    _print([_told(finding, info, several=several) for finding in found], Form.JSON if as_json else form)
    if form is Form.TABLE and not as_json:
        tell(f"{len(found):,} of {reviews.count(opened, chosen):,}" if found else "nothing fits")


def _several_networks(opened: "Workspace", round_id: int) -> bool:
    from app.services import rounds

    return bool(rounds.get_round(opened, round_id).config.get("members"))


def _told(finding: Finding, info: "DatasetInfo", *, several: bool) -> dict[str, Any]:
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
    """Return where a region lies in its image, in pixels; nothing for a whole image."""
    if finding.box is None:
        return {}
    return {**dict(zip(("x", "y", "width", "height"), finding.box, strict=True)), "area": finding.area}


def _print(told: list[dict[str, Any]], form: Form) -> None:
    if form is Form.JSON:
        say_json(told)
    elif form is Form.CSV:
        written = io.StringIO()
        writer = csv.DictWriter(written, list(told[0]) if told else ["finding"], lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: _cell(value) for name, value in each.items()} for each in told)
        sys.stdout.write(written.getvalue())
    else:
        regions = ("box", "area") if any(each["area"] is not None for each in told) else ()
        columns = ("name", *regions, "given", "suggested", "confidence", "status", "label", "by")
        rows = [[_cell(each[name]) for name in columns] for each in told]
        say_table(columns, rows, numbers=["confidence", "area"])


def _cell(value: object) -> object:
    """Return a value as a cell shows it: a box as x,y,width,height."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else value


def class_name(info: "DatasetInfo", label: int) -> str | None:
    """Return a class's name, None where there is no label."""
    return info.classes[label] if label >= 0 else None
