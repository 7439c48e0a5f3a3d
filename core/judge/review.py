"""Resolution of the verdicts on a sample: its current label, and the status of each of its findings.

Only live decisions count. A person's decision beats a bulk one whatever their order; among equals the newest (the
highest number) wins. SECOND_OPINION as a person's newest decision settles nothing: the sample is open again and its
label is what it would be without people. A bulk decision gives its sample a label for ever, but a finding its status
only in the round in which it was made: the next round's model judges anew. The verdict on a region of a mask
concerns that finding alone; what it does to the mask stands in `core.judge.masks`.

Everything here is pure; the database keeps the same answers beside its rows, and tests hold the two equal.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from core.types import Decision, Resolution, Status, Verdict

LABELLING = frozenset({Verdict.ACCEPT, Verdict.KEEP, Verdict.RELABEL})

STATUS_OF: Mapping[Verdict, Status] = {
    Verdict.ACCEPT: Status.ACCEPT,
    Verdict.KEEP: Status.KEEP,
    Verdict.RELABEL: Status.RELABEL,
    Verdict.AMBIGUOUS: Status.AMBIGUOUS,
    Verdict.EXCLUDE: Status.EXCLUDE,
    Verdict.SECOND_OPINION: Status.SECOND_OPINION,
}


@dataclass(frozen=True, slots=True)
class Standing:
    """Status of one finding, the label decided (None while open or without one), and the decision behind it."""

    status: Status = Status.OPEN
    label: int | None = None
    decision: Decision | None = None


def resolve(given: Mapping[int, int | None], decisions: Iterable[Decision]) -> dict[int, Resolution]:
    """Return what the label of every sample in `given` is now; decisions on other samples are ignored."""
    human: dict[int, Decision] = {}
    bulk: dict[int, Decision] = {}
    for decision in decisions:
        if not decision.live or decision.sample_id not in given:
            continue
        newest = bulk if decision.bulk else human
        known = newest.get(decision.sample_id)
        if known is None or decision.number > known.number:
            newest[decision.sample_id] = decision
    return {sample: _resolution(label, human.get(sample), bulk.get(sample)) for sample, label in given.items()}


def standing(round_id: int, decisions: Iterable[Decision], *, painted: bool = False) -> Standing:
    """Return where a finding stands in a round, from all decisions on its sample; for a region, all on this finding.

    `painted`: edits of the image changed every pixel of the region, so no bulk act can say anything of it.
    """
    live = [decision for decision in decisions if decision.live]
    human = [decision for decision in live if not decision.bulk]
    bulk = [decision for decision in live if decision.bulk and decision.round_id == round_id]
    winner = max(human or ([] if painted else bulk), key=lambda decision: decision.number, default=None)
    if winner is None:
        return Standing(Status.PAINTED if painted else Status.OPEN)
    status = Status.BULK if winner.bulk else STATUS_OF[winner.verdict]
    return Standing(status, _label(winner), winner)


def _resolution(given: int | None, human: Decision | None, bulk: Decision | None) -> Resolution:
    winner = human if human is not None and human.verdict.settles else bulk
    return Resolution(given, None) if winner is None else Resolution(_label(winner), winner)


def _label(decision: Decision) -> int | None:
    return decision.label if decision.verdict in LABELLING else None
