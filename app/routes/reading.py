"""What the review page asks for."""

from dataclasses import asdict
from typing import Any

from starlette.requests import Request

from app.routes.wire import (
    read_bulk,
    read_filter,
    read_order,
    text,
    whole,
    write_finding,
)
from app.services import reviews
from app.services.reviews import audits
from app.services.workspace import Workspace
from core.types import Finding, Recipe, RoundStatus, Status

PAGE = 50
LONGEST_CURSOR = 400


def one_round(request: Request, workspace: Workspace) -> dict[str, Any]:
    """Answer what the page's filters can be set to."""
    view = reviews.view_round(workspace, whole(request.path_params, "round_id", least=1))
    metrics = view.round.metrics or {}
    recalibration = reviews.recalibration(workspace, view.round.id) if view.round.status is RoundStatus.DONE else None
    return {
        "round": {
            "id": view.round.id,
            "number": view.round.number,
            "status": view.round.status.value,
            "dataset_id": view.round.dataset_id,
            "dataset": view.round.dataset,
            "config": view.round.config,
            "recipe": view.round.recipe.value,
            "accuracy": metrics.get("accuracy"),
            "proposed_threshold": recalibration.proposed_threshold if recalibration else None,
            "class_thresholds": metrics.get("class_thresholds"),
            "has_similarity": view.has_similarity,
        },
        "task": view.round.task.value,
        "classes": view.round.classes,
        "colours": view.round.colours,
        "window": view.window,
        "wobble": metrics.get("wobble_regions"),
        "mean_iou": metrics.get("miou"),
        "splits": view.splits,
        "folds": view.round.config.get("folds", 1) if view.round.recipe is Recipe.CROSS_FOLD else 1,
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
                "live": act.live,
                "threshold": act.note.get("threshold"),
                "known": act.note.get("known"),
            }
            for act in view.bulk_acts
        ],
        "audits": [one.as_json() for one in audits.of_round(workspace, view.round.id)],
        "recalibration": recalibration.as_json() if recalibration else None,
        "hints": [asdict(hint) for hint in reviews.hints(workspace, view.round.id)],
    }


def state(_request: Request, workspace: Workspace) -> dict[str, Any]:
    """Answer a number that every act of anybody raises: whoever knows it asks for the rest only when it rose."""
    return {"state": reviews.state(workspace)}


def queue(request: Request, workspace: Workspace) -> dict[str, Any]:
    """Answer one page of findings, or the findings with the ids asked for."""
    asked = request.query_params
    if "ids" in asked:
        ids = [whole({"ids": one}, "ids", least=1) for one in asked["ids"].split(",") if one]
        return {"items": items(workspace, reviews.findings(workspace, ids)), "next": None}
    limit = whole(asked, "limit", least=1) if "limit" in asked else PAGE
    after = text(asked, "after", longest=LONGEST_CURSOR) if asked.get("after") else None
    page = reviews.page(workspace, read_filter(asked), read_order(asked), after, limit)
    return {"items": items(workspace, page.items), "next": page.next}


def one_finding(request: Request, workspace: Workspace) -> dict[str, Any]:
    """Answer everything known of one finding."""
    story = reviews.history(workspace, whole(request.path_params, "finding_id", least=1))
    shown = [story.finding, *story.neighbours]
    item, *near = items(workspace, shown)
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
        "neighbours": near,
        "alike": alike,
    }


def counted(request: Request, workspace: Workspace) -> dict[str, Any]:
    """Answer every number on the page."""
    found = reviews.counts(workspace, read_filter(request.query_params))
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
    }


def previewed(request: Request, workspace: Workspace) -> dict[str, Any]:
    """Answer what accepting everything under a filter would change."""
    found = reviews.preview(workspace, read_bulk(request.query_params, workspace))
    known = found.known
    return {
        "count": found.count,
        "changes": found.changes,
        "size": known.size,
        "sample": items(workspace, found.sample),
        "threshold": found.threshold,
        "left_out": found.left_out_words,
        "known": known.as_note(),
        "audit": known.audit.as_json() if known.audit else None,
        "to_certify": known.to_certify,
        "not_drawn": known.why_not,
    }


def items(workspace: Workspace, shown: list[Finding]) -> list[dict[str, Any]]:
    """Return findings as the page's cards take them."""
    likely = reviews.likely(workspace, shown)
    return [write_finding(finding, likely[finding.id]) for finding in shown]
