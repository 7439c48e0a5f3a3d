"""Verdicts, notes, acts on classes, bulk acts, undo and redo from the browser's outbox.

A single act is answered by its own status. Several acts in one POST are stored one by one, in order: a refused one has
its error in its place of `results`, and does not hold up those behind it.
"""

from typing import Any

from app.routes.handlers import JsonPost, RequestError, require_of, store_acts
from app.routes.operation import VERDICT_SECONDS
from app.routes.review_json import (
    LONGEST_CLIENT,
    flag,
    read_bulk_body,
    read_choices,
    text,
    whole,
    write_classes,
    write_standing,
)
from app.services import class_lists, reviews
from app.services.app_context import AppContext
from app.services.reviews import ActKey
from core.types import Act, Right

MOST_CLASSES = 70_000  # in an order
LONGEST_NOTE = 2_000  # on arrival; the service counts without surrounding white space


def act(post: JsonPost, app_context: AppContext) -> dict[str, Any]:
    """Store one act, or several in order."""
    if "acts" not in post.body:
        return _act(post.body, post, app_context)
    return store_acts(post, lambda body: _act(body, post, app_context), "seq, round and op")


def accept_everything(post: JsonPost, app_context: AppContext) -> dict[str, Any]:
    """Accept all findings of a filter if they are as many as the person was shown."""
    body = post.body
    chosen = read_bulk_body(body, app_context)
    expected = whole(body, "expected")
    certified = flag(body, "certified")
    saved = reviews.accept_all(
        app_context, chosen, by=post.name, expected=expected, certified=certified, key=_key(body)
    )
    answer = {"changeset": saved.changeset, "size": saved.size, "saved_at": saved.saved_at.isoformat()}
    return answer | {"known": saved.known}


def _act(body: dict[str, Any], post: JsonPost, app_context: AppContext) -> dict[str, Any]:
    key, op, name = _key(body), body.get("op", "decide"), post.name
    if op == "decide":
        audit_id = whole(body, "audit", least=1) if body.get("audit") is not None else None
        choices = read_choices(body.get("decisions"))
        blind = flag(body, "blind")
        with VERDICT_SECONDS.time():
            saved = reviews.decide(app_context, choices, by=name, key=key, audit_id=audit_id, blind=blind)
        return _write_saved(saved)
    if op == "note":
        written = body.get("text") and text(body, "text", longest=LONGEST_NOTE)
        saved = reviews.add_note(app_context, whole(body, "finding", least=1), written or "", by=name, key=key)
        return _with_notes(_write_saved(saved), saved, app_context)
    if op not in ("undo", "redo", *_CLASS_ACTS):
        known = ", ".join(("decide", "note", "undo", "redo", *_CLASS_ACTS))
        raise RequestError(f"'op' is {str(op)[:60]!r}", f"choose from {known}")
    round_id = whole(body, "round", least=1) if body.get("round") is not None else None
    if round_id is None:  # a page without a round
        dataset_id = whole(body, "dataset", least=1)
    else:
        dataset_id = reviews.view_round(app_context, round_id).round.dataset_id
    if op in _CLASS_ACTS:
        require_of(post.role, Right.DECIDE if op == "add_class" else Right.LEAD)
        answer = _CLASS_ACTS[op](app_context, dataset_id, body, name, key)
    else:
        if op == "redo":
            saved = reviews.redo(app_context, dataset_id, by=name, key=key)
        else:
            target = whole(body, "changeset", least=1) if body.get("changeset") is not None else None
            own_only = post.role is not None and not post.role.may(Right.LEAD)
            saved = reviews.undo(app_context, dataset_id, by=name, changeset_id=target, key=key, own_only=own_only)
        answer = _with_notes(_write_saved(saved, round_id), saved, app_context)
    if op in _CLASS_ACTS or answer.get("undone", {}).get("act") == Act.CLASSES:
        answer |= write_classes(class_lists.class_list(app_context, dataset_id))
    return answer


def _add_class(app_context: AppContext, dataset_id: int, body: dict[str, Any], by: str, key: ActKey) -> dict[str, Any]:
    added = reviews.add_class(app_context, dataset_id, text(body, "name"), by=by, key=key)
    return {"class": added.id, "name": added.name, "changeset": added.saved.changeset if added.saved else None}


def _rename_class(
    app_context: AppContext, dataset_id: int, body: dict[str, Any], by: str, key: ActKey
) -> dict[str, Any]:
    return _write_saved(
        reviews.rename_class(app_context, dataset_id, whole(body, "class"), text(body, "name"), by=by, key=key)
    )


def _merge_classes(
    app_context: AppContext, dataset_id: int, body: dict[str, Any], by: str, key: ActKey
) -> dict[str, Any]:
    merged, into = whole(body, "class"), whole(body, "into")
    return _write_saved(reviews.merge_classes(app_context, dataset_id, [merged], into, by=by, key=key))


def _reorder_classes(
    app_context: AppContext, dataset_id: int, body: dict[str, Any], by: str, key: ActKey
) -> dict[str, Any]:
    order = body.get("order")
    if not isinstance(order, list) or len(order) > MOST_CLASSES:
        raise RequestError("'order' is no list of class numbers", "send [2, 0, 1]")
    ids = [whole({"order": one}, "order") for one in order]
    return _write_saved(reviews.reorder_classes(app_context, dataset_id, ids, by=by, key=key))


_CLASS_ACTS = {
    "add_class": _add_class,
    "rename_class": _rename_class,
    "merge_classes": _merge_classes,
    "reorder_classes": _reorder_classes,
}


def _key(body: dict[str, Any]) -> reviews.ActKey:
    return reviews.ActKey(text(body, "client", longest=LONGEST_CLIENT), whole(body, "seq"))


def _with_notes(answer: dict[str, Any], saved: reviews.Saved, app_context: AppContext) -> dict[str, Any]:
    """Add the current notes of its cards to the answer of an act that may have changed them."""
    noted = reviews.current_notes(app_context, saved.items)
    return {**answer, "items": [{**one, "note": noted.get(one["id"], "")} for one in answer["items"]]}


def _write_saved(saved: reviews.Saved, round_id: int | None = None) -> dict[str, Any]:
    """Return the answer; of an undo across several rounds, only the cards of the round on screen."""
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
