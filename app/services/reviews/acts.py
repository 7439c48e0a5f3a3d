"""Verdicts, bulk acts, undo and redo: each one transaction, stored when it is answered, and safe to send twice.

The same verdict by the same person on the same card twice makes one decision, unless the region's mask was edited in
between: then it says something new.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy.orm import Session

from app.services.painting_over import note_act
from app.services.reviews import audits, evidence, precision
from app.services.reviews.answers import EDITED, Saved
from app.services.reviews.errors import CountChangedError, NotFoundError, RefusedError
from app.services.reviews.storing import ActKey, Actor, finished_round, store_once
from app.services.workspace import Workspace
from core.types import NO_LABEL, Act, Finding, FindingFilter, Status, Verdict
from db.queries import counts, decisions, evaluation, findings, projection, reviews
from db.queries.reviews import ReviewedRound

MOST_CHOICES = 1_000  # cards in one act; more is a bulk act


@dataclass(frozen=True, slots=True)
class Choice:
    """A verdict on one card; `label` is the class chosen by RELABEL."""

    finding_id: int
    verdict: Verdict
    label: int | None = None


def decide(
    workspace: Workspace,
    choices: Sequence[Choice],
    *,
    by: str,
    key: ActKey | None = None,
    audit_id: int | None = None,
    blind: bool = False,
) -> Saved:
    """Store one person's verdicts on one or several cards of one round as one act.

    Args:
        workspace: the installation.
        choices: the verdicts.
        by: the annotator's name.
        key: the browser's own number of the act.
        audit_id: the audit in which the cards were judged.
        blind: the cards did not show which class is given and which is suggested.

    Raises:
        NotFoundError: a finding or the audit does not exist.
        RefusedError: no card or too many, cards of several rounds or an unfinished one, a label that is no class, or a
            card that is not in the audit's set.
    """
    wanted = {choice.finding_id: choice for choice in choices}
    if not 1 <= len(wanted) <= MOST_CHOICES:
        raise RefusedError(f"{len(wanted)} cards in one act", f"send 1 to {MOST_CHOICES}, or accept by a filter")

    def act(session: Session, actor: Actor) -> int:
        cards = _known(session, list(wanted))
        in_round = finished_round(session, cards[0].round_id)
        if audit_id is not None:
            audits.refuse_strangers(workspace, session, audit_id, list(wanted))
        painted_over = decisions.painted_over(session, list(wanted))
        new = [
            decision
            for card in cards
            if not _stands(decision := _decision(card, wanted[card.id], len(in_round.classes)), card, actor.name)
            or card.id in painted_over
        ]
        note = {"blind": True} if blind else {}
        changeset = actor.changeset(
            Act.VERDICT, in_round.id, in_round.dataset_id, size=len(new), note=note, audit_id=audit_id
        )
        changeset_id = decisions.add_changeset(session, changeset)
        if new:
            decisions.add_decisions(session, changeset_id, new)
            projection.project(session, decisions.findings_affected_by(Act.VERDICT, changeset_id))
        return changeset_id

    return store_once(workspace, by, key, act, list(wanted))


def accept_all(
    workspace: Workspace,
    chosen: FindingFilter,
    *,
    by: str,
    expected: int | None = None,
    certified: bool = False,
    key: ActKey | None = None,
) -> Saved:
    """Accept the pseudo label of every open finding of a filter as one act; those of evaluation splits stay open.

    The act's note keeps what was known of the set's precision at that moment, `certified` or not.

    Raises:
        CountChangedError: `expected` is given and another number of findings would change.
        NotFoundError: the round does not exist.
        RefusedError: it is not finished, the filter is of an evaluation split alone, or `certified` is asked for and
            the set has no certificate.
    """

    def act(session: Session, actor: Actor) -> int:
        in_round = finished_round(session, chosen.round_id)
        refuse_protected(in_round, chosen)
        opened = open_part(chosen, in_round.evaluation_splits)
        size = counts.count(session, opened) if opened else 0
        if expected is not None and expected != size:
            raise CountChangedError(expected, size)
        known = precision.known(workspace, session, in_round, chosen)
        if certified and known.certificate is None:
            raise RefusedError("this set has no certificate", f"judge a random sample of it first; {known.text}")
        note = {
            "filter": evidence.plain(opened or chosen),
            "threshold": None if chosen.class_percents else chosen.min_confidence,
            "known": known.as_note(),
        }
        changeset = actor.changeset(Act.ACCEPT_ALL, in_round.id, in_round.dataset_id, size=size, note=note)
        changeset_id = decisions.add_changeset(session, changeset)
        if opened and size:
            decisions.add_bulk_decisions(session, changeset_id, opened)
            projection.project_bulk(session, changeset_id, Act.ACCEPT_ALL, opened)
        return changeset_id

    return store_once(workspace, by, key, act)


def undo(
    workspace: Workspace, dataset_id: int, *, by: str, changeset_id: int | None = None, key: ActKey | None = None
) -> Saved:
    """Take back the annotator's newest act in the dataset, or the one named; later verdicts stay.

    Raises:
        NotFoundError: the act named does not exist in this dataset.
        RefusedError: the act named is another person's verdict, or does not count any more.
    """

    def act(session: Session, actor: Actor) -> int | None:
        if changeset_id is None:
            target = decisions.find_undoable(session, dataset_id, actor.annotator_id)
        else:
            target = _undoable(session, dataset_id, changeset_id, actor.name)
        return _turn(workspace, session, actor, Act.UNDO, dataset_id=dataset_id, target_id=target)

    return store_once(workspace, by, key, act)


def redo(workspace: Workspace, dataset_id: int, *, by: str, key: ActKey | None = None) -> Saved:
    """Bring back the act that the annotator undid last, unless they have acted anew since."""

    def act(session: Session, actor: Actor) -> int | None:
        target = decisions.find_redoable(session, dataset_id, actor.annotator_id)
        return _turn(workspace, session, actor, Act.REDO, dataset_id=dataset_id, target_id=target)

    return store_once(workspace, by, key, act)


def open_part(chosen: FindingFilter, protected: Sequence[str]) -> FindingFilter | None:
    """Return what of a filter a bulk act may touch: open findings, none of the splits that are `protected`.

    None when the filter names other statuses only.
    """
    if chosen.statuses and Status.OPEN not in chosen.statuses:
        return None
    return replace(chosen, statuses=frozenset({Status.OPEN}), without_splits=frozenset(protected))


def refuse_protected(in_round: ReviewedRound, chosen: FindingFilter) -> None:
    """Refuse a bulk act on an evaluation split alone.

    Raises:
        RefusedError: it is one; its labels would drift to the models that they are there to judge.
    """
    if chosen.split and chosen.split in in_round.evaluation_splits:
        raise RefusedError(
            f"{chosen.split} is an evaluation split of {in_round.dataset}, which bulk acts leave out",
            "judge its findings one by one, or take the protection away on the Datasets page",
        )


def _turn(
    workspace: Workspace, session: Session, actor: Actor, act: Act, *, dataset_id: int, target_id: int | None
) -> int | None:
    target = decisions.find_changeset(session, target_id) if target_id else None
    if target is None:  # kept all the same: a retry must not turn what was decided in between
        rounds = reviews.rounds_of(session, dataset_id) if actor.key else []
        return decisions.add_changeset(session, actor.changeset(act, rounds[0][0], dataset_id)) if rounds else None
    if act is Act.REDO and target.act is Act.ACCEPT_ALL:
        _refuse_protected_again(session, target)
    decisions.set_live(session, target.id, live=act is Act.REDO)
    if target.act is Act.ACCEPT_ALL:
        projection.project_bulk(session, target.id, act)
    else:
        projection.project(session, decisions.findings_affected_by(target.act, target.id))
        if target.note.get(EDITED):
            note_act(workspace, session, target.id)
    turned = actor.changeset(act, target.round_id, target.dataset_id, size=target.size, target_id=target.id)
    return decisions.add_changeset(session, turned)


def _refuse_protected_again(session: Session, target: decisions.Changeset) -> None:
    """Refuse to bring back what was accepted in bulk of a split that was protected since."""
    protected = evaluation.protected_in(session, target.id)
    if protected:
        raise RefusedError(
            f"{protected:,} of the {target.size:,} labels of this act are of a split that was protected since",
            "accept the others anew, by the filter and the threshold",
        )


def _undoable(session: Session, dataset_id: int, changeset_id: int, by: str) -> int:
    found = decisions.find_changeset(session, changeset_id)
    if found is None or found.dataset_id != dataset_id or found.act not in decisions.OWN_ACTS:
        raise NotFoundError(f"there is no act {changeset_id} in this dataset", "reload the page")
    if found.act is Act.VERDICT and found.annotator != by:
        raise RefusedError(f"these verdicts are {found.annotator}'s", "pass your own verdict on the card instead")
    if not found.live:
        raise RefusedError("this act is undone already", "reload the page")
    return found.id


def _known(session: Session, finding_ids: list[int]) -> list[Finding]:
    found = findings.findings_by_ids(session, finding_ids)
    unknown = sorted(set(finding_ids) - {finding.id for finding in found})
    if unknown:
        raise NotFoundError(f"there is no finding {unknown[0]}", "reload the page")
    if len({finding.round_id for finding in found}) > 1:
        raise RefusedError("the cards belong to several rounds", "send one act for each round")
    return found


def _decision(card: Finding, choice: Choice, classes: int) -> decisions.NewDecision:
    return decisions.NewDecision(card.sample_id, card.id, choice.verdict, _label(card, choice, classes))


def _stands(decision: decisions.NewDecision, card: Finding, by: str) -> bool:
    """Return whether the same verdict by this person stands on the card already."""
    return (card.annotator, card.status, card.label) == (by, Status[decision.verdict.name], decision.label)


def _label(card: Finding, choice: Choice, classes: int) -> int | None:
    if choice.verdict is Verdict.ACCEPT:
        return card.pseudo
    if choice.verdict is Verdict.KEEP:
        if card.given == NO_LABEL:
            raise RefusedError(f"{card.name} has no given label to keep", "accept the suggestion or choose a class")
        return card.given
    if choice.verdict is not Verdict.RELABEL:
        return None
    if choice.label is None or not 0 <= choice.label < classes:
        raise RefusedError(f"label {choice.label} is no class", f"choose one of 0 to {classes - 1}")
    return choice.label
