"""Data and acts of the tag panel: images to tag with suggestions, and tags by people.

Acts have the form of the review's: several in one POST, each stored by itself, in order; a refused one has its error in
its place of `results`. `op` is tag (with `sample` and `classes`, null removes the tags) or undo (of the own last act).
"""

from typing import Any

from starlette.requests import Request

from app.routes.handlers import LONGEST_CLIENT, JsonPost, RequestError, member, store_acts, text, whole
from app.services import class_lists
from app.services.app_context import AppContext
from app.services.reviews import ActKey
from app.services.tags import current as tags
from app.services.tags.current import TagCounts, TagFilter, TaggedImage, TagResult

MOST_IMAGES = 40
MOST_CLASSES = 70_000


def panel(request: Request, app_context: AppContext) -> dict[str, Any]:
    """Answer dataset, classes, counts of tagged images, and the round with the suggestions."""
    opened = tags.panel(app_context, whole(request.path_params, "dataset_id", least=1))
    return {
        "dataset": opened.dataset.id,
        "name": opened.dataset.name,
        **class_lists.class_list(app_context, opened.dataset.id).to_json(),
        "counts": _counts(opened.counts),
        "round": None if opened.round is None else {"id": opened.round.id, "number": opened.round.number},
    }


def images(request: Request, app_context: AppContext) -> dict[str, Any]:
    """Answer the next images, by id."""
    query = request.query_params
    found = tags.queue(
        app_context,
        whole(request.path_params, "dataset_id", least=1),
        member(TagFilter, query.get("show") or TagFilter.TODO.value, "show"),
        after=whole(query, "after") if query.get("after") else 0,
        limit=min(MOST_IMAGES, whole(query, "limit", least=1)) if query.get("limit") else 16,
    )
    return {"items": [_image(one.image) | {"suggested": one.classes} for one in found]}


def one_image(request: Request, app_context: AppContext) -> dict[str, Any]:
    """Answer one image."""
    found = tags.suggest_tags(app_context, whole(request.path_params, "sample_id", least=1))
    return _image(found.image) | {"suggested": found.classes}


def act(post: JsonPost, app_context: AppContext) -> dict[str, Any]:
    """Store acts, in order."""
    return store_acts(post, lambda body: _write_result(_store(body, post.name, app_context)), "seq and op")


def _store(body: dict[str, Any], name: str, app_context: AppContext) -> TagResult:
    key = ActKey(text(body, "client", longest=LONGEST_CLIENT), whole(body, "seq"))
    op = body.get("op", "tag")
    if op == "undo":
        return tags.undo(app_context, whole(body, "dataset", least=1), by=name, key=key)
    if op != "tag":
        raise RequestError(f"'op' is {str(op)[:60]!r}", "choose from tag, undo")
    classes = body.get("classes")
    if classes is not None and (
        not isinstance(classes, list)
        or len(classes) > MOST_CLASSES
        or not all(isinstance(number, int) and not isinstance(number, bool) for number in classes)
    ):
        raise RequestError("'classes' is not a list of class numbers", "send [0, 3], or null to remove the tags")
    return tags.tag(app_context, whole(body, "sample", least=1), classes, by=name, key=key)


def _write_result(result: TagResult) -> dict[str, Any]:
    return {"saved_at": result.saved_at.isoformat(), "image": None if result.image is None else _image(result.image)}


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
