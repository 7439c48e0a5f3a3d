"""`audit`: a random sample of findings, and what people's verdicts on it say of the whole set."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.commands.reviewing import (
    Above,
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
from app.commands.speaking import ByName, DatasetName, JsonFlag, say, say_hints, say_json, say_table, tell

if TYPE_CHECKING:
    from app.services.datasets import DatasetInfo
    from core.types import Finding


def audit(
    *,
    dataset: DatasetName,
    above: Above = 0.0,
    show: Shown = Show.SUSPICIOUS,
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
    """Draw a random sample of a set of findings, or go on with the one it has, and say what it shows so far.

    The set is everything the options hold, whatever was decided of it. It has one random order for good; verdicts on
    the first cards of that order, judged in the browser, are the evidence. Sixty answer how many suggestions are right;
    47 to 85 flawless ones certify 95 % (by the size of the set). A sample of all suspicious findings (no options) and
    one of all agreeing ones (--show agreeing) together say how many labels of the dataset are wrong.

    Examples:
      python -m app audit pets
      python -m app audit pets --above 0.95 --size 100
      python -m app audit pets --show agreeing
      python -m app audit pets --above 0.95 --json
    """
    from app.commands.naming import dataset_named, person, workspace
    from app.services import reviews
    from app.services.reviews import audits

    opened = workspace()
    info = dataset_named(opened, dataset)
    chosen = Narrowed(show, round_, given, suggested, above, below, split, path).filter(opened, info)
    seen = audits.start(opened, chosen, by=person(by), target=target)
    cards = audits.first_cards(opened, seen.audit.id, size)
    recalibration = reviews.recalibration(opened, seen.audit.round_id)
    hints = reviews.hints(opened, seen.audit.round_id)
    if as_json:
        listed = [_card(place, card, info) for place, card in enumerate(cards)]
        more = {"recalibration": recalibration.as_json() if recalibration else None, "hints": hints, "cards": listed}
        say_json(seen.as_json() | more)
        return
    order = "" if seen.audit.number == 1 else f", set {seen.audit.number} of its round: {1 - seen.audit.alpha:.4g} sure"
    say(f"Audit {seen.audit.id} of {seen.audit.size:,} findings{order}: {seen.text}")
    say(f"{reviews.share_text(seen.estimate)}." if seen.estimate else "Precision unknown: too few random verdicts.")
    if recalibration:
        _say_recalibration(recalibration)
    say_hints(hints)
    rows = [
        (place + 1, card.name, class_name(info, card.given), class_name(info, card.pseudo), card.status.name.lower())
        for place, card in enumerate(cards)
    ]
    say_table(["place", "name", "given", "suggested", "status"], rows, numbers=["place"])
    tell(f"judge them in the browser: review?round={seen.audit.round_id}&audit={seen.audit.id}")


def _say_recalibration(found: Any) -> None:  # noqa: ANN401  app.services.reviews.Recalibration, imported late
    say(f"Threshold: {found.proposed_threshold or 'none proposed'} ({found.reason}).")
    if found.warning:
        say(found.warning)
    if found.wrong:
        say(found.wrong.text)


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
