"""Resolution of the verdicts on a sample: its current label, and the status of each of its findings.

Only live decisions count. A human decision precedes a bulk one in any order; of two of one kind the newest (the highest
number) counts. SECOND_OPINION as the newest human decision settles nothing: the sample is open again, and its label is
the one without human decisions. A bulk decision gives its sample a label in all rounds, but a finding its status only
in its own round, since the next round's model judges anew. The verdict on a region of a mask concerns that finding
alone; `core.judge.masks` applies it to the mask.

All functions are pure; the database stores the same results beside its rows, and tests hold the two equal.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from core.data.snapshot import BoolArray
from core.types import Decision, IntArray, Resolution, Status, Verdict

LABELLING = frozenset({Verdict.ACCEPT, Verdict.KEEP, Verdict.RELABEL})

_UNUSABLE, _UNDECIDED = -2, -3  # beside class ids and `NO_LABEL`
_NO_SAMPLE = -1

STATUS_OF: Mapping[Verdict, Status] = {
    Verdict.ACCEPT: Status.ACCEPT,
    Verdict.KEEP: Status.KEEP,
    Verdict.RELABEL: Status.RELABEL,
    Verdict.AMBIGUOUS: Status.AMBIGUOUS,
    Verdict.EXCLUDE: Status.EXCLUDE,
    Verdict.SECOND_OPINION: Status.SECOND_OPINION,
}


@dataclass(frozen=True, slots=True)
class FindingState:
    """Status of one finding, its decided label (None while open or without one), and the decision that counts."""

    status: Status = Status.OPEN
    label: int | None = None
    decision: Decision | None = None


def resolve(given: Mapping[int, int | None], decisions: Iterable[Decision]) -> dict[int, Resolution]:
    """Return the current label of every sample in `given`; decisions on other samples are ignored."""
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


class CurrentLabels:
    """Current labels of N samples as one array, from decisions in order of age; equal to `resolve`."""

    def __init__(self, sample_ids: IntArray, given: IntArray) -> None:
        """Start with the given labels, (N,), `NO_LABEL` for none, of samples by ascending id, (N,)."""
        self._ids = np.append(sample_ids, _NO_SAMPLE)
        self._given = given
        self._human, self._bulk = (np.full(len(sample_ids), _UNDECIDED, np.int32) for _ in range(2))

    def add(
        self, sample_ids: IntArray, verdicts: Sequence[Verdict], labels: Sequence[int | None], bulk: BoolArray
    ) -> None:
        """Take the next live decisions in, M of each; those on other samples are ignored."""
        codes = np.array([_code_of(*one) for one in zip(verdicts, labels, strict=True)], np.int32)
        places = np.searchsorted(self._ids[:-1], sample_ids)
        here = self._ids[places] == sample_ids
        for newest, these in ((self._human, here & ~bulk), (self._bulk, here & bulk)):
            newest[places[these]] = codes[these]  # of several on one sample the last one stays

    def labels(self) -> tuple[IntArray, BoolArray]:
        """Return the label of each sample now, `NO_LABEL` for none, and a flag for each that has no usable one."""
        decided = np.where(self._human != _UNDECIDED, self._human, self._bulk)
        unusable: BoolArray = decided == _UNUSABLE
        return np.where((decided == _UNDECIDED) | unusable, self._given, decided), unusable


def finding_state(round_id: int, decisions: Iterable[Decision], *, painted: bool = False) -> FindingState:
    """Return the state of a finding in a round, from all decisions on its sample; for a region, all on this finding.

    `painted`: edits of the image changed every pixel of the region, so bulk acts do not apply to it.
    """
    live = [decision for decision in decisions if decision.live]
    human = [decision for decision in live if not decision.bulk]
    bulk = [decision for decision in live if decision.bulk and decision.round_id == round_id]
    winner = max(human or ([] if painted else bulk), key=lambda decision: decision.number, default=None)
    if winner is None:
        return FindingState(Status.PAINTED if painted else Status.OPEN)
    status = Status.BULK if winner.bulk else STATUS_OF[winner.verdict]
    return FindingState(status, _label(winner), winner)


def _code_of(verdict: Verdict, label: int | None) -> int:
    if not verdict.settles:
        return _UNDECIDED
    return _UNUSABLE if verdict not in LABELLING or label is None else label


def _resolution(given: int | None, human: Decision | None, bulk: Decision | None) -> Resolution:
    winner = human if human is not None and human.verdict.settles else bulk
    return Resolution(given, None) if winner is None else Resolution(_label(winner), winner)


def _label(decision: Decision) -> int | None:
    return decision.label if decision.verdict in LABELLING else None
