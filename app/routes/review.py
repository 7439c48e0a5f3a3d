"""Data and acts of the review page: rounds, findings, counts, audits, removal of images.

Verdicts, those of audits too, are acts (`app.routes.acts`).
"""

from dataclasses import asdict
from typing import Any

from starlette.requests import Request

from app.routes.handlers import LONGEST_CLIENT, JsonPost, flag, name_in, role_of, text, whole
from app.routes.review_json import (
    filter_parts,
    read_bulk,
    read_bulk_body,
    read_filter,
    read_order,
    write_finding,
)
from app.services import class_lists, removals, reviews
from app.services.app_context import AppContext
from app.services.reviews import audits, parts
from app.services.rounds import labelling
from core.types import Finding, FindingFilter, JobStatus, Right, Status

PAGE = 50
LONGEST_CURSOR = 400


def one_round(request: Request, app_context: AppContext) -> dict[str, Any]:
    """Answer a round with the values of the page's filters."""
    view = reviews.view_round(app_context, whole(request.path_params, "round_id", least=1))
    metrics = view.round.metrics or {}
    recalibration = reviews.recalibration(app_context, view.round.id) if view.round.status is JobStatus.DONE else None
    return {
        "round": {
            "id": view.round.id,
            "number": view.round.number,
            "status": view.round.status.value,
            "dataset_id": view.round.dataset_id,
            "dataset": view.round.dataset,
            "config": view.round.config,
            "recipe": view.round.recipe.value,
            "suggests": view.round.recipe.suggests,
            "accuracy": metrics.get("accuracy"),
            "proposed_threshold": recalibration.proposed_threshold if recalibration else None,
            "class_thresholds": metrics.get("class_thresholds"),
            "has_similarity": view.has_similarity,
        },
        "task": view.round.task.value,
        **class_lists.class_list(app_context, view.round.dataset_id).to_json(),
        "window": view.window,
        "boundary_differences": metrics.get("wobble_regions"),
        "mean_iou": metrics.get("miou"),
        "splits": view.splits,
        "folds": view.round.config.get("folds", 1) if view.round.recipe.in_folds else 1,
        "networks": 1 + len(view.round.config.get("members", ())),
        "annotators": view.annotators,
        "rounds": [{"id": one, "number": number, "status": status.value} for one, number, status in view.rounds],
        "datasets": [{"id": one, "name": name, "round": newest} for one, name, newest in view.datasets],
        "bulk_acts": [
            {
                "changeset": act.id,
                "by": act.annotator,
                "at": act.decided_at.isoformat(),
                "size": act.size,
                "of": parts.size_to_reach(act),
                "live": act.live,
                "threshold": act.note.get("threshold"),
                "known": act.note.get("known"),
            }
            for act in view.bulk_acts
        ],
        "audits": [one.as_json() for one in audits.list_audits(app_context, view.round.id)],
        "recalibration": recalibration.as_json() if recalibration else None,
        "hints": [asdict(hint) for hint in reviews.hints(app_context, view.round.id)],
        "may_lead": (role := role_of(request)) is None or role.may(Right.LEAD),
    }


def state(request: Request, app_context: AppContext) -> dict[str, Any]:
    """Answer the number of the newest act; with `after`, the acts of others since then.

    A page without a round names its `dataset`, and gets the classes if others acted.
    """
    query = request.query_params
    if "after" not in query:
        return {"state": reviews.news(app_context).state}
    dataset_id = whole(query, "dataset", least=1) if query.get("dataset") else None
    since = reviews.news(
        app_context,
        whole(query, "round", least=1) if dataset_id is None else None,
        after=whole(query, "after"),
        client=text(query, "client", longest=LONGEST_CLIENT),
        by=name_in(request),
    )
    overruled = [
        {
            "id": one.finding_id,
            "name": one.name,
            "by": one.by,
            "status": one.status.name.lower(),
            "label": one.label,
            "own": {"status": one.own_verdict.value, "label": one.own_label},
        }
        for one in since.overruled
    ]
    answer = {"state": since.state, "acted": since.acted, "overruled": overruled}
    if dataset_id is not None and since.acted:
        answer |= class_lists.class_list(app_context, dataset_id).to_json()
    return answer


def queue(request: Request, app_context: AppContext) -> dict[str, Any]:
    """Answer one page of findings, or the findings with the requested ids."""
    query = request.query_params
    if "ids" in query:
        ids = [whole({"ids": one}, "ids", least=1) for one in query["ids"].split(",") if one]
        return {"items": items(app_context, reviews.findings(app_context, ids)), "next": None}
    limit = whole(query, "limit", least=1) if "limit" in query else PAGE
    after = text(query, "after", longest=LONGEST_CURSOR) if query.get("after") else None
    page = reviews.page(app_context, read_filter(query), read_order(query), after, limit)
    return {"items": items(app_context, page.items), "next": page.next}


def one_finding(request: Request, app_context: AppContext) -> dict[str, Any]:
    """Answer one finding with its history, decisions, notes and neighbours."""
    story = reviews.history(app_context, whole(request.path_params, "finding_id", least=1))
    shown = [story.finding, *story.neighbours]
    item, *near = items(app_context, shown)
    alike = {"count": len(story.alike) - 1, "similar": "-".join(map(str, story.alike))} if story.alike else None
    return {
        **item,
        "path": story.finding.path,
        "history": [
            {"round": number, "pseudo": one.pseudo, "confidence": one.confidence} for number, one in story.rounds
        ],
        "decisions": [
            {
                "verdict": one.verdict.value,
                "label": one.label,
                "by": one.annotator,
                "at": one.decided_at.isoformat(),
                "bulk": one.bulk,
                "live": one.live,
                "round": number,
            }
            for number, one in story.decisions
        ],
        "notes": [
            {"text": one.text, "by": one.annotator, "at": one.noted_at.isoformat(), "live": one.live}
            for one in story.notes
        ],
        "neighbours": near,
        "alike": alike,
    }


def counts(request: Request, app_context: AppContext) -> dict[str, Any]:
    """Answer every number on the page."""
    found = reviews.counts(app_context, read_filter(request.query_params))
    return {
        "total": found.total,
        "todo": found.todo,
        "decided": found.decided,
        "by_status": {status.name.lower(): found.by_status.get(status, 0) for status in Status},
        "kinds": {kind.name.lower(): n for kind, n in found.kinds.items()},
        "pairs": found.pairs,
        "histogram": found.histogram,
        "kept_out": {"splits": found.evaluation_splits, "histogram": found.kept_out},
        "second_opinion": found.by_status.get(Status.SECOND_OPINION, 0),
        "labels": found.labels,
        "images": found.images,
        "enough": labelling.ENOUGH,
    }


def preview_accept(request: Request, app_context: AppContext) -> dict[str, Any]:
    """Answer the changes that accepting all findings of a filter would make."""
    found = reviews.preview(app_context, read_bulk(request.query_params, app_context))
    known = found.known
    return {
        "count": found.count,
        "changes": found.changes,
        "size": known.size,
        "sample": items(app_context, found.sample),
        "threshold": found.threshold,
        "left_out": found.left_out_words,
        "known": known.as_note(),
        "audit": known.audit.as_json() if known.audit else None,
        "to_certify": known.to_certify,
        "not_drawn": known.why_not,
    }


def items(app_context: AppContext, shown: list[Finding]) -> list[dict[str, Any]]:
    """Return findings in the form of the page's cards."""
    likely, noted = reviews.likeliest_classes(app_context, shown), reviews.current_notes(app_context, shown)
    return [{**write_finding(one, likely[one.id]), "note": noted.get(one.id, "")} for one in shown]


HAND = 24  # cards at once


def list_audits(request: Request, app_context: AppContext) -> dict[str, Any]:
    """Answer a round's audits."""
    found = audits.list_audits(app_context, whole(request.query_params, "round", least=1))
    return {"audits": [one.as_json() for one in found]}


def one_audit(request: Request, app_context: AppContext) -> dict[str, Any]:
    """Answer one audit in its current state."""
    return audits.view_audit(app_context, whole(request.path_params, "audit_id", least=1)).as_json()


def start_audit(post: JsonPost, app_context: AppContext) -> dict[str, Any]:
    """Start the audit of a filter's set, or continue the existing one."""
    return audits.start(app_context, read_bulk_body(post.body, app_context), by=post.name).as_json()


def audit_cards(post: JsonPost, app_context: AppContext) -> dict[str, Any]:
    """Lease the next cards of an audit to the annotator."""
    body = post.body
    audit_id = whole(body, "audit", least=1)
    limit = whole(body, "limit", least=1) if "limit" in body else HAND
    after = whole(body, "after", least=-1) if "after" in body else -1
    hand, last = audits.hand_out(
        app_context, audit_id, by=post.name, after=after, limit=limit, judged=flag(body, "judged")
    )
    shown = items(app_context, [finding for _, finding in hand])
    placed = [{**item, "place": place} for item, (place, _) in zip(shown, hand, strict=True)]
    return {"items": placed, "next": last, "audit": audits.view_audit(app_context, audit_id).as_json()}


def close_audit(post: JsonPost, app_context: AppContext) -> dict[str, Any]:
    """Close an audit, or reopen it with `closed` false."""
    closed = flag(post.body, "closed") if "closed" in post.body else True
    return audits.close(app_context, whole(post.body, "audit", least=1), closed=closed).as_json()


def split_audit(post: JsonPost, app_context: AppContext) -> dict[str, Any]:
    """Split the set of a failed or closed audit into quarters by confidence."""
    return audits.split_into_quarters(app_context, whole(post.body, "audit", least=1), by=post.name).as_json()


def preview_removal(request: Request, app_context: AppContext) -> dict[str, Any]:
    """Answer the images and findings that removing a filter's images would remove."""
    chosen = read_filter(request.query_params)
    found = removals.preview_removal(app_context, _dataset_of(app_context, chosen), chosen)
    return {"images": len(found.ids), "text": found.text, "held": found.held}


def remove_images(post: JsonPost, app_context: AppContext) -> dict[str, Any]:
    """Remove a filter's images if they are as many as the preview showed."""
    body = post.body
    chosen = read_filter({**filter_parts(body, None), "round": body.get("round")})
    what = text(body, "what") if body.get("what") else ""
    dataset_id, expected = _dataset_of(app_context, chosen), whole(body, "expected", least=1)
    gone = removals.remove(app_context, dataset_id, chosen, post.name, what=what, expected=expected)
    return {"deletion": gone.id, "name": gone.name, "images": gone.held["images"]}


def _dataset_of(app_context: AppContext, chosen: FindingFilter) -> int:
    return reviews.view_round(app_context, chosen.round_id).round.dataset_id
