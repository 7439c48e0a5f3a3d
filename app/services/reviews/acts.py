"""Verdicts, bulk acts, notes, second opinions, undo and redo: one transaction each, safe to send twice.

A repeated verdict by the same person on the same card makes one decision, unless the region's mask was edited in
between: then the second verdict is a new decision.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from sqlalchemy.orm import Session

from app.services.app_context import AppContext
from app.services.masks.history import note_act
from app.services.people import log_act
from app.services.reviews import audits, classes, evidence, parts, precision
from app.services.reviews.store import (
    ActKey,
    Actor,
    CountChangedError,
    NotFoundError,
    RefusedError,
    Saved,
    finished_round,
    refuse_without_suggestions,
    store_once,
)
from core.types import NO_LABEL, Act, ClassState, Finding, FindingFilter, FindingKind, LoggedAct, Status, Verdict
from db.queries import decisions, evaluation, findings, notes, projection
from db.queries.decisions import EDITED
from db.queries.findings import ReviewedRound

_MOST_CHOICES = 1_000  # cards in one act; more is a bulk act
LONGEST_NOTE = 500  # characters


@dataclass(frozen=True, slots=True)
class Choice:
    """A verdict on one card; `label` is the class chosen by RELABEL."""

    finding_id: int
    verdict: Verdict
    label: int | None = None


def decide(
    app_context: AppContext,
    choices: Sequence[Choice],
    *,
    by: str,
    key: ActKey | None = None,
    audit_id: int | None = None,
    blind: bool = False,
) -> Saved:
    """Store one person's verdicts on one or several cards of one round as one act.

    Args:
        app_context: the installation.
        choices: the verdicts.
        by: the annotator's name.
        key: the browser's own number of the act.
        audit_id: the audit in which the cards were judged.
        blind: the cards did not show which class is given and which is suggested.

    Raises:
        DeletedError: the round is deleted and can be restored.
        NotFoundError: a finding or the audit does not exist.
        RefusedError: no card or too many, cards of several rounds or an unfinished one, an unknown label, or a
            card that is not in the audit's set.
    """
    wanted = {choice.finding_id: choice for choice in choices}
    if not 1 <= len(wanted) <= _MOST_CHOICES:
        raise RefusedError(f"{len(wanted)} cards in one act", f"send 1 to {_MOST_CHOICES}, or accept by a filter")

    def act(session: Session, actor: Actor) -> int:
        cards = _known(session, list(wanted))
        in_round = finished_round(session, cards[0].round_id, cards)
        class_state = in_round.class_state
        if audit_id is not None:
            audits.refuse_strangers(app_context, session, audit_id, list(wanted))
        regions = [card.id for card in cards if card.area is not None]
        painted_over = decisions.painted_over(session, regions) if regions else set()
        new = [
            decision
            for card in cards
            if not _is_current(decision := _decision(card, wanted[card.id], class_state), card, actor.name, class_state)
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

    return store_once(app_context, by, key, act, list(wanted))


def accept_all(
    app_context: AppContext,
    chosen: FindingFilter,
    *,
    by: str,
    expected: int | None = None,
    certified: bool = False,
    key: ActKey | None = None,
    report: Callable[[int, int], None] = lambda _done, _size: None,
) -> Saved:
    """Accept the pseudo label of every open finding of a filter as one act; findings of evaluation splits stay open.

    The act's note stores the known precision of the set at that moment, `certified` or not. A large act is stored
    in parts (`app.services.reviews.parts`); `report` is called after each with the number accepted and of how many.

    Raises:
        CountChangedError: `expected` is given and a different number of findings would change.
        NotFoundError: the round does not exist.
        RefusedError: it is not finished, the filter is of an evaluation split only, or `certified` is required and
            the set has no certificate.
    """

    def act(session: Session, actor: Actor) -> int:
        in_round = finished_round(session, chosen.round_id)
        refuse_without_suggestions(in_round)
        _refuse_protected(in_round, chosen)
        opened = open_part(chosen, in_round.evaluation_splits)
        size = findings.count(session, opened) if opened else 0
        if expected is not None and expected != size:
            raise CountChangedError(expected, size)
        known = precision.known_precision(app_context, session, in_round, chosen)
        if certified and known.certificate is None:
            raise RefusedError("this set has no certificate", f"judge a random sample of it first; {known.text}")
        note = {
            "filter": evidence.filter_values(opened or chosen),
            "threshold": None if chosen.class_percents else chosen.min_confidence,
            "known": known.as_note(),
        }
        details = {"round": in_round.number, "certified": known.certificate is not None}
        is_whole = size <= parts.PART
        stored = size if is_whole else 0
        changeset = actor.changeset(Act.ACCEPT_ALL, in_round.id, in_round.dataset_id, size=stored, note=note)
        changeset_id = decisions.add_changeset(session, changeset)
        if not is_whole:
            parts.begin(session, changeset_id, size, details | {"dataset": in_round.dataset})
            return changeset_id
        log_act(session, LoggedAct.BULK_ACT, by, in_round.dataset, details | {"findings": size})
        if opened and size:
            decisions.add_bulk_decisions(session, changeset_id, opened)
            projection.project_bulk(session, changeset_id, Act.ACCEPT_ALL, opened)
        return changeset_id

    return parts.finish(app_context, store_once(app_context, by, key, act), report)


def undo(
    app_context: AppContext,
    dataset_id: int,
    *,
    by: str,
    changeset_id: int | None = None,
    key: ActKey | None = None,
    own_only: bool = False,
) -> Saved:
    """Undo the annotator's newest act in the dataset, or the named one; later verdicts stay.

    A named act may be a bulk act or one on classes of another person, unless `own_only`.

    Raises:
        NotFoundError: the named act does not exist in this dataset.
        RefusedError: the named act is another person's verdict, or no longer counts.
    """

    def act(session: Session, actor: Actor) -> int | None:
        if changeset_id is None:
            target = decisions.find_undoable(session, dataset_id, actor.annotator_id)
        else:
            target = _undoable(session, dataset_id, changeset_id, actor.name, own_only=own_only)
        return _turn(app_context, session, actor, Act.UNDO, dataset_id=dataset_id, target_id=target)

    return store_once(app_context, by, key, act)


def redo(app_context: AppContext, dataset_id: int, *, by: str, key: ActKey | None = None) -> Saved:
    """Redo the act that the annotator undid last, unless they have acted since."""

    def act(session: Session, actor: Actor) -> int | None:
        target = decisions.find_redoable(session, dataset_id, actor.annotator_id)
        return _turn(app_context, session, actor, Act.REDO, dataset_id=dataset_id, target_id=target)

    return store_once(app_context, by, key, act)


def open_part(chosen: FindingFilter, protected: Sequence[str]) -> FindingFilter | None:
    """Return the part of a filter that a bulk act may change: open findings outside `protected` splits.

    None if the filter names only other statuses.
    """
    if chosen.statuses and Status.OPEN not in chosen.statuses:
        return None
    return replace(chosen, statuses=frozenset({Status.OPEN}), without_splits=frozenset(protected))


def with_class_thresholds(app_context: AppContext, chosen: FindingFilter) -> FindingFilter:
    """Return the filter with the threshold of each suggested class beside its own bounds.

    Raises:
        NotFoundError: there is no such round.
        RefusedError: it has no thresholds, or the filter includes labelled images, to which they do not apply.
    """
    if chosen.kinds != frozenset({FindingKind.UNLABELLED}):
        raise RefusedError(
            "thresholds by class are for unlabelled images only", "show unlabelled ones only, or choose one threshold"
        )
    with app_context.database.read() as session:
        found = findings.find_round(session, chosen.round_id)
    if found is None:
        raise NotFoundError(f"there is no round {chosen.round_id}", "choose a round on the Rounds page")
    measured = (found.metrics or {}).get("class_thresholds", [])
    if len(measured) != len(found.classes):
        raise RefusedError("this round has no thresholds by class", "choose one threshold, or run another round")
    return replace(chosen, class_percents=tuple(one["percent"] for one in measured))


def add_note(app_context: AppContext, finding_id: int, text: str, *, by: str, key: ActKey | None = None) -> Saved:
    """Store a person's note on a card; white space is normalised, an empty text removes the former note.

    Raises:
        DeletedError: the round is deleted and can be restored.
        NotFoundError: there is no such finding.
        RefusedError: the text is too long, or the round is unfinished.
    """
    visible = "".join(character if character.isprintable() else " " for character in text)
    cleaned = " ".join(visible.split())
    if len(cleaned) > LONGEST_NOTE:
        raise RefusedError(f"the note has {len(cleaned)} characters", f"use at most {LONGEST_NOTE}")

    def act(session: Session, actor: Actor) -> int:
        found = findings.findings_by_ids(session, [finding_id])
        if not found:
            raise NotFoundError(f"there is no finding {finding_id}", "reload the page")
        in_round = finished_round(session, found[0].round_id, found)
        changeset_id = decisions.add_changeset(
            session, actor.changeset(Act.NOTE, in_round.id, in_round.dataset_id, size=1)
        )
        notes.add_note(session, changeset_id, found[0].sample_id, finding_id, cleaned)
        return changeset_id

    return store_once(app_context, by, key, act, [finding_id])


def current_notes(app_context: AppContext, cards: Sequence[Finding]) -> dict[int, str]:
    """Return the current notes on these findings, by the finding's id."""
    with app_context.database.read() as session:
        return notes.notes_on_findings(session, cards)


def _refuse_protected(in_round: ReviewedRound, chosen: FindingFilter) -> None:
    """Refuse a bulk act on an evaluation split alone.

    Raises:
        RefusedError: it is one; its labels would drift towards the models that they should judge.
    """
    if chosen.split and chosen.split in in_round.evaluation_splits:
        raise RefusedError(
            f"{chosen.split} is an evaluation split of {in_round.dataset}, which bulk acts leave out",
            "judge its findings one by one, or take the protection away on the Datasets page",
        )


def _turn(
    app_context: AppContext, session: Session, actor: Actor, act: Act, *, dataset_id: int, target_id: int | None
) -> int | None:
    target = decisions.find_changeset(session, target_id) if target_id else None
    if target is None:  # stored anyway: a retry must not undo decisions made in between
        rounds = findings.rounds_of(session, dataset_id) if actor.key else []
        return decisions.add_changeset(session, actor.changeset(act, rounds[0][0], dataset_id)) if rounds else None
    if act is Act.REDO and target.act is Act.ACCEPT_ALL:
        _refuse_protected_again(session, target)
    classes.refuse_turn(app_context, session, target, act)
    parts.stop(session, target)
    decisions.set_live(session, target.id, live=act is Act.REDO)
    if target.act is Act.CLASSES:
        classes.write_state(session, dataset_id)
    elif target.act is Act.ACCEPT_ALL:
        projection.project_bulk(session, target.id, act)
    else:
        projection.project(session, decisions.findings_affected_by(target.act, target.id))
        if target.note.get(EDITED):
            note_act(app_context, session, target.id)
    turned = actor.changeset(act, target.round_id, target.dataset_id, size=target.size, target_id=target.id)
    return decisions.add_changeset(session, turned)


def _refuse_protected_again(session: Session, target: decisions.Changeset) -> None:
    """Refuse to redo a bulk accept of a split that was protected later."""
    protected = evaluation.count_protected(session, target.id)
    if protected:
        raise RefusedError(
            f"{protected:,} of the {target.size:,} labels of this act are of a split that was protected since",
            "accept the others anew, by the filter and the threshold",
        )


def _undoable(session: Session, dataset_id: int, changeset_id: int, by: str, *, own_only: bool) -> int:
    found = decisions.find_changeset(session, changeset_id)
    if found is None or found.dataset_id != dataset_id or found.act not in decisions.OWN_ACTS:
        raise NotFoundError(f"there is no act {changeset_id} in this dataset", "reload the page")
    if found.act not in (Act.ACCEPT_ALL, Act.CLASSES) and found.annotator != by:
        what = "this note is" if found.act is Act.NOTE else "these verdicts are"
        raise RefusedError(f"{what} {found.annotator}'s", "give your own verdict on the card instead")
    if own_only and found.annotator != by:
        raise RefusedError(f"this act is {found.annotator}'s", "ask that person or a lead to undo it")
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


def _decision(card: Finding, choice: Choice, class_state: ClassState) -> decisions.NewDecision:
    return decisions.NewDecision(card.sample_id, card.id, choice.verdict, _label(card, choice, class_state))


def _is_current(decision: decisions.NewDecision, card: Finding, by: str, class_state: ClassState) -> bool:
    """Return whether the same verdict by this person is the card's current one."""
    label = class_state.present(decision.label)
    return (card.annotator, card.status, card.label) == (by, Status[decision.verdict.name], label)


def _label(card: Finding, choice: Choice, class_state: ClassState) -> int | None:
    if choice.verdict is Verdict.ACCEPT:
        if card.pseudo == NO_LABEL:
            raise RefusedError(f"nothing is suggested for {card.name}", "choose a class")
        return card.pseudo if card.own_pseudo is None else card.own_pseudo  # so that a merge can be undone
    if choice.verdict is Verdict.KEEP:
        if card.given == NO_LABEL:
            raise RefusedError(f"{card.name} has no given label to keep", "accept the suggestion or choose a class")
        return card.given if card.own_given is None else card.own_given
    if choice.verdict is not Verdict.RELABEL:
        return None
    if choice.label is None:
        raise RefusedError("a relabel without a label", "send the class")
    classes.refuse_unknown(choice.label, class_state)
    return choice.label
