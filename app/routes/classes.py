"""Data of the Classes page; acts on classes are handled by `app.routes.acts`."""

from typing import Any

from starlette.requests import Request

from app.routes.handlers import whole
from app.services import class_lists, reviews
from app.services.app_context import AppContext
from app.services.reviews import ClassUse


def overview(request: Request, app_context: AppContext) -> dict[str, Any]:
    """Answer a dataset's classes with their uses, the acts on them, and pairs that may be one class."""
    found = class_lists.overview(app_context, whole(request.path_params, "dataset_id", least=1))
    return {
        "dataset": found.dataset.id,
        "name": found.dataset.name,
        **found.known.to_json(),
        "uses": {one.id: _use(one) for one in found.uses},
        "history": [
            {
                "changeset": one.changeset,
                "text": one.text,
                "by": one.annotator,
                "at": one.decided_at.isoformat(),
                "live": one.live,
            }
            for one in found.history
        ],
        "alike": [{"classes": [one.class_id, one.other_id], "why": one.why} for one in found.alike],
    }


def preview_merge(request: Request, app_context: AppContext) -> dict[str, Any]:
    """Answer the changes that a merge of one class into another would make."""
    query = request.query_params
    dataset_id = whole(request.path_params, "dataset_id", least=1)
    found = reviews.preview_merge(app_context, dataset_id, [whole(query, "class")], whole(query, "into"))
    return {"use": _use(found.merged[0]), "settled": found.settled_findings}


def _use(one: ClassUse) -> dict[str, int]:
    return {
        "images": one.images,
        "decided": one.decided,
        "regions": one.regions,
        "tagged": one.tagged,
        "open": one.open_findings,
    }
