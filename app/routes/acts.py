"""Verdicts, bulk acts, undo and redo as they come from the browser's outbox.

One act is answered by its own status. Of several acts in one POST each is stored by itself, in order: one that is
refused says so in its place of `results`, and the others go on; so a bad act never holds up the good ones behind it.
"""

from typing import Any

from app.routes.answering import Asked, RequestError, explain
from app.routes.wire import LONGEST_CLIENT, flag, read_bulk, read_choices, text, whole, write_standing
from app.services import reviews
from app.services.workspace import Workspace
from core.types import OutfoldError

MOST_ACTS = 200


def act(asked: Asked, workspace: Workspace) -> dict[str, Any]:
    """Store one act, or several in order."""
    body = asked.body
    if "acts" not in body:
        return _act(body, asked.name, workspace)
    acts = body["acts"]
    if not isinstance(acts, list) or not all(isinstance(one, dict) for one in acts) or len(acts) > MOST_ACTS:
        raise RequestError("'acts' is no list of acts", f"send up to {MOST_ACTS} objects with seq, round and op")
    shared = {name: value for name, value in body.items() if name != "acts"}
    return {"results": [_act_or_why_not({**shared, **one}, asked.name, workspace) for one in acts]}


def accept_everything(asked: Asked, workspace: Workspace) -> dict[str, Any]:
    """Accept what a filter holds, if it is as many as the person was shown."""
    body = asked.body
    within = body.get("filter", body)
    if not isinstance(within, dict):
        raise RequestError("'filter' is no object", "send the filter's parts by their names")
    chosen = read_bulk({"round": body.get("round"), **within}, workspace)
    expected = whole(body, "expected")
    certified = flag(body, "certified")
    saved = reviews.accept_all(workspace, chosen, by=asked.name, expected=expected, certified=certified, key=_key(body))
    answer = {"changeset": saved.changeset, "size": saved.size, "saved_at": saved.saved_at.isoformat()}
    return answer | {"known": saved.known}


def _act_or_why_not(body: dict[str, Any], name: str, workspace: Workspace) -> dict[str, Any]:
    try:
        return {"seq": body.get("seq"), **_act(body, name, workspace)}
    except (RequestError, OutfoldError) as error:
        answer, status = explain(error)
        return {"seq": body.get("seq"), **answer, "status": status}


def _act(body: dict[str, Any], name: str, workspace: Workspace) -> dict[str, Any]:
    key, op = _key(body), body.get("op", "decide")
    if op == "decide":
        audit_id = whole(body, "audit", least=1) if body.get("audit") is not None else None
        choices = read_choices(body.get("decisions"))
        return _written(
            reviews.decide(workspace, choices, by=name, key=key, audit_id=audit_id, blind=flag(body, "blind"))
        )
    if op not in ("undo", "redo"):
        raise RequestError(f"'op' is {str(op)[:60]!r}", "choose from decide, undo, redo")
    round_id = whole(body, "round", least=1)
    dataset_id = reviews.view_round(workspace, round_id).round.dataset_id
    if op == "redo":
        return _written(reviews.redo(workspace, dataset_id, by=name, key=key), round_id)
    target = whole(body, "changeset", least=1) if body.get("changeset") is not None else None
    return _written(reviews.undo(workspace, dataset_id, by=name, changeset_id=target, key=key), round_id)


def _key(body: dict[str, Any]) -> reviews.ActKey:
    return reviews.ActKey(text(body, "client", longest=LONGEST_CLIENT), whole(body, "seq"))


def _written(saved: reviews.Saved, round_id: int | None = None) -> dict[str, Any]:
    """Return the answer; of what an undo moved in several rounds, only the cards of the round on screen."""
    answer: dict[str, Any] = {
        "changeset": saved.changeset,
        "saved_at": saved.saved_at.isoformat(),
        "items": [write_standing(finding) for finding in saved.items if round_id in (None, finding.round_id)],
    }
    if saved.undone is not None:
        answer["undone"] = {
            "changeset": saved.undone.changeset,
            "act": saved.undone.act.value,
            "size": saved.undone.size,
            "text": saved.undone.text,
        }
    return answer
