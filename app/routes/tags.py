"""The tag panel: images to tag with what is suggested for them, and what people say of them.

Acts come as the review's do: several in one POST, each stored by itself, in order; one that is refused says so in its
place of `results`. `op` is tag (with `sample` and `classes`, null takes them back) or undo (of one's last act).
"""

from typing import Any

from starlette.requests import Request

from app.routes.answering import Asked, RequestError, explain
from app.routes.wire import LONGEST_CLIENT, member, text, whole
from app.services import tags
from app.services.reviews import ActKey
from app.services.tags import Said, Show, TagCounts, TaggedImage
from app.services.workspace import Workspace
from core.types import OutfoldError

MOST_ACTS = 200
MOST_IMAGES = 40
MOST_CLASSES = 70_000


def panel(request: Request, workspace: Workspace) -> dict[str, Any]:
    """Answer which dataset is tagged, its classes, how far it is, and which round suggests."""
    opened = tags.panel(workspace, whole(request.path_params, "dataset_id", least=1))
    return {
        "dataset": opened.dataset.id,
        "name": opened.dataset.name,
        "classes": list(opened.dataset.classes),
        "colours": list(opened.dataset.colours or ()),
        "counts": _counts(opened.counts),
        "round": None if opened.round is None else {"id": opened.round.id, "number": opened.round.number},
    }


def images(request: Request, workspace: Workspace) -> dict[str, Any]:
    """Answer the next images, by id."""
    asked = request.query_params
    found = tags.queue(
        workspace,
        whole(request.path_params, "dataset_id", least=1),
        member(Show, asked.get("show") or Show.TODO.value, "show"),
        after=whole(asked, "after") if asked.get("after") else 0,
        limit=min(MOST_IMAGES, whole(asked, "limit", least=1)) if asked.get("limit") else 16,
    )
    return {"items": [_image(one.image) | {"suggested": one.classes} for one in found]}


def one_image(request: Request, workspace: Workspace) -> dict[str, Any]:
    """Answer one image."""
    found = tags.one(workspace, whole(request.path_params, "sample_id", least=1))
    return _image(found.image) | {"suggested": found.classes}


def act(asked: Asked, workspace: Workspace) -> dict[str, Any]:
    """Store acts, in order."""
    body = asked.body
    acts = body.get("acts")
    if not isinstance(acts, list) or not all(isinstance(one, dict) for one in acts) or len(acts) > MOST_ACTS:
        raise RequestError("'acts' is no list of acts", f"send up to {MOST_ACTS} objects with seq and op")
    shared = {name: value for name, value in body.items() if name != "acts"}
    return {"results": [_stored_or_why_not({**shared, **one}, asked.name, workspace) for one in acts]}


def _stored_or_why_not(body: dict[str, Any], name: str, workspace: Workspace) -> dict[str, Any]:
    try:
        return {"seq": body.get("seq"), **_written(_stored(body, name, workspace))}
    except (RequestError, OutfoldError) as error:
        answer, status = explain(error)
        return {"seq": body.get("seq"), **answer, "status": status}


def _stored(body: dict[str, Any], name: str, workspace: Workspace) -> Said:
    key = ActKey(text(body, "client", longest=LONGEST_CLIENT), whole(body, "seq"))
    op = body.get("op", "tag")
    if op == "undo":
        return tags.undo(workspace, whole(body, "dataset", least=1), by=name, key=key)
    if op != "tag":
        raise RequestError(f"'op' is {str(op)[:60]!r}", "choose from tag, undo")
    classes = body.get("classes")
    if classes is not None and (
        not isinstance(classes, list)
        or len(classes) > MOST_CLASSES
        or not all(isinstance(number, int) and not isinstance(number, bool) for number in classes)
    ):
        raise RequestError("'classes' is no list of class numbers", "send [0, 3], or null to take the tags back")
    return tags.tag(workspace, whole(body, "sample", least=1), classes, by=name, key=key)


def _written(said: Said) -> dict[str, Any]:
    return {"saved_at": said.saved_at.isoformat(), "image": None if said.image is None else _image(said.image)}


def _image(image: TaggedImage) -> dict[str, Any]:
    return {
        "sample": image.id,
        "name": image.name,
        "hash": image.content_hash,
        "width": image.width,
        "height": image.height,
        "masked": image.masked,
        "tags": image.classes,
        "by": image.annotator,
    }


def _counts(counts: TagCounts) -> dict[str, int]:
    return {"images": counts.images, "tagged": counts.tagged, "masked": counts.masked, "left": counts.left}
