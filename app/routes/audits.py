"""Random samples of fixed sets: begun, judged card by card, closed. Verdicts travel as ordinary acts."""

from typing import Any

from starlette.requests import Request

from app.routes.answering import Asked, RequestError
from app.routes.reading import items
from app.routes.wire import flag, read_bulk, whole
from app.services.reviews import audits
from app.services.workspace import Workspace

HAND = 24  # cards at once


def of_round(request: Request, workspace: Workspace) -> dict[str, Any]:
    """Answer a round's audits."""
    found = audits.of_round(workspace, whole(request.query_params, "round", least=1))
    return {"audits": [one.as_json() for one in found]}


def one(request: Request, workspace: Workspace) -> dict[str, Any]:
    """Answer one audit as it stands."""
    return audits.read(workspace, whole(request.path_params, "audit_id", least=1)).as_json()


def start(asked: Asked, workspace: Workspace) -> dict[str, Any]:
    """Begin the audit of a filter's set, or go on with the one it has."""
    within = asked.body.get("filter", asked.body)
    if not isinstance(within, dict):
        raise RequestError("'filter' is no object", "send the filter's parts by their names")
    chosen = read_bulk({"round": asked.body.get("round"), **within}, workspace)
    return audits.start(workspace, chosen, by=asked.name).as_json()


def cards(asked: Asked, workspace: Workspace) -> dict[str, Any]:
    """Hand the next cards of an audit to the person who asks."""
    body = asked.body
    audit_id = whole(body, "audit", least=1)
    limit = whole(body, "limit", least=1) if "limit" in body else HAND
    after = whole(body, "after", least=-1) if "after" in body else -1
    hand, last = audits.hand_out(
        workspace, audit_id, by=asked.name, after=after, limit=limit, judged=flag(body, "judged")
    )
    shown = items(workspace, [finding for _, finding in hand])
    placed = [{**item, "place": place} for item, (place, _) in zip(shown, hand, strict=True)]
    return {"items": placed, "next": last, "audit": audits.read(workspace, audit_id).as_json()}


def close(asked: Asked, workspace: Workspace) -> dict[str, Any]:
    """Close an audit, or open it again with `closed` false."""
    closed = flag(asked.body, "closed") if "closed" in asked.body else True
    return audits.close(workspace, whole(asked.body, "audit", least=1), closed=closed).as_json()


def quarters(asked: Asked, workspace: Workspace) -> dict[str, Any]:
    """Split the set of a failed or closed audit into quarters by confidence."""
    return audits.split_into_quarters(workspace, whole(asked.body, "audit", least=1), by=asked.name).as_json()
