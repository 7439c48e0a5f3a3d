"""Verdicts, notes, acts on classes, bulk acts, undo and redo from the browser's outbox.

A single act is answered by its own status. Several acts in one POST are stored one by one, in order: a refused one has
its error in its place of `results`, and does not block the acts after it.
"""

from collections.abc import Callable, Mapping
from typing import Any

from app.routes.handlers import LONGEST_CLIENT, JsonPost, RequestError, flag, require_of, store_acts, text, whole
from app.routes.operation import VERDICT_SECONDS
from app.routes.review_json import read_bulk_body, read_choices, write_state
from app.services import class_lists, reviews
from app.services.app_context import AppContext
from app.services.reviews import ActKey
from core.types import Act, Right

MOST_CLASSES = 70_000  # in an order
LONGEST_NOTE = 2_000  # on arrival; the service counts without surrounding white space
_Handler = Callable[[AppContext, dict[str, Any], JsonPost, ActKey], dict[str, Any]]
_ClassAct = Callable[[AppContext, int, dict[str, Any], str, ActKey], dict[str, Any]]  # dataset, body, annotator


def act(post: JsonPost, app_context: AppContext) -> dict[str, Any]:
    """Store one act, or several in order."""
    if "acts" not in post.body:
        return _act(post.body, post, app_context)
    return store_acts(post, lambda body: _act(body, post, app_context), "seq, round and op")


def accept_everything(post: JsonPost, app_context: AppContext) -> dict[str, Any]:
    """Accept all findings of a filter if their number is the one shown."""
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
    key, op = _key(body), body.get("op", "decide")
    if not isinstance(op, str) or op not in _ACTS:
        raise RequestError(f"'op' is {str(op)[:60]!r}", f"choose from {', '.join(_ACTS)}")
    return _ACTS[op](app_context, body, post, key)


def _decide(app_context: AppContext, body: dict[str, Any], post: JsonPost, key: ActKey) -> dict[str, Any]:
    audit_id = whole(body, "audit", least=1) if body.get("audit") is not None else None
    choices = read_choices(body.get("decisions"))
    blind = flag(body, "blind")
    with VERDICT_SECONDS.time():
        saved = reviews.decide(app_context, choices, by=post.name, key=key, audit_id=audit_id, blind=blind)
    return _write_saved(saved)


def _note(app_context: AppContext, body: dict[str, Any], post: JsonPost, key: ActKey) -> dict[str, Any]:
    written = body.get("text") and text(body, "text", longest=LONGEST_NOTE)
    saved = reviews.add_note(app_context, whole(body, "finding", least=1), written or "", by=post.name, key=key)
    return _with_notes(_write_saved(saved), saved, app_context)


def _undo(app_context: AppContext, body: dict[str, Any], post: JsonPost, key: ActKey) -> dict[str, Any]:
    dataset_id = _dataset_of(app_context, body)
    target = whole(body, "changeset", least=1) if body.get("changeset") is not None else None
    own_only = post.role is not None and not post.role.may(Right.LEAD)
    saved = reviews.undo(app_context, dataset_id, by=post.name, changeset_id=target, key=key, own_only=own_only)
    return _write_undone(app_context, dataset_id, body, saved)


def _redo(app_context: AppContext, body: dict[str, Any], post: JsonPost, key: ActKey) -> dict[str, Any]:
    dataset_id = _dataset_of(app_context, body)
    saved = reviews.redo(app_context, dataset_id, by=post.name, key=key)
    return _write_undone(app_context, dataset_id, body, saved)


def _write_undone(
    app_context: AppContext, dataset_id: int, body: dict[str, Any], saved: reviews.Saved
) -> dict[str, Any]:
    """Return the answer of an undo or redo, with the classes if it was of an act on them."""
    answer = _with_notes(_write_saved(saved, body.get("round")), saved, app_context)
    if answer.get("undone", {}).get("act") == Act.CLASSES:
        answer |= class_lists.class_list(app_context, dataset_id).to_json()
    return answer


def _dataset_of(app_context: AppContext, body: dict[str, Any]) -> int:
    """Return the dataset that an act names, or that of its round; a page without a round names the dataset."""
    if body.get("round") is None:
        return whole(body, "dataset", least=1)
    return reviews.view_round(app_context, whole(body, "round", least=1)).round.dataset_id


def _on_classes(right: Right, store: _ClassAct) -> _Handler:
    """Return the handler of an act on classes that requires a right; its answer has the resulting classes."""

    def handle(app_context: AppContext, body: dict[str, Any], post: JsonPost, key: ActKey) -> dict[str, Any]:
        dataset_id = _dataset_of(app_context, body)
        require_of(post.role, right)
        answer = store(app_context, dataset_id, body, post.name, key)
        return answer | class_lists.class_list(app_context, dataset_id).to_json()

    return handle


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
        raise RequestError("'order' is not a list of class numbers", "send [2, 0, 1]")
    ids = [whole({"order": one}, "order") for one in order]
    return _write_saved(reviews.reorder_classes(app_context, dataset_id, ids, by=by, key=key))


_ACTS: Mapping[str, _Handler] = {  # by "op"
    "decide": _decide,
    "note": _note,
    "undo": _undo,
    "redo": _redo,
    "add_class": _on_classes(Right.DECIDE, _add_class),
    "rename_class": _on_classes(Right.LEAD, _rename_class),
    "merge_classes": _on_classes(Right.LEAD, _merge_classes),
    "reorder_classes": _on_classes(Right.LEAD, _reorder_classes),
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
        "items": [write_state(finding) for finding in saved.items if round_id in (None, finding.round_id)],
    }
    if saved.undone is not None:
        answer["undone"] = {
            "changeset": saved.undone.changeset,
            "act": saved.undone.act.value,
            "size": saved.undone.size,
            "text": saved.undone.text,
        }
    return answer
