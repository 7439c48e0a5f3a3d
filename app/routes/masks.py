"""Masks for the editor and the cards: labels, regions, overlays.

A mask is answered as its stored grey PNG; the header `X-Outfold-Version` names it. Edits come as tiles of labels
(`app.services.masks.request`).
"""

from typing import Any

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response

from app.routes.handlers import LONGEST_CLIENT, BytesPost, RequestError, member, text, whole
from app.routes.media import FOREVER, requested_window
from app.services import class_lists
from app.services.app_context import AppContext
from app.services.masks import current as masks, editing, round_masks
from app.services.masks.current import EditContext
from app.services.masks.request import TILE
from app.services.masks.round_masks import EDGES, Layer, Overlay
from app.services.reviews import ActKey
from core.data.masks.png import to_png
from core.types import mask_dtype

LARGEST_MASK = 64 << 20  # deflated bytes
_VERSION = "X-Outfold-Version"


def one_mask(request: Request, app_context: AppContext) -> dict[str, Any]:
    """Answer an image with the version of its current mask and a round's findings in it."""
    query = request.query_params
    round_id = whole(query, "round", least=1) if query.get("round") else None
    opened = masks.view_mask(app_context, whole(request.path_params, "sample_id", least=1), round_id)
    sample = opened.sample
    dtype = mask_dtype(len(sample.classes))
    return {
        "sample": sample.id,
        "dataset": sample.dataset_id,
        "name": sample.name,
        "hash": sample.content_hash,
        "width": sample.width,
        "height": sample.height,
        **class_lists.class_list(app_context, sample.dataset_id).to_json(),
        "dtype": dtype.name,
        "ignore": 2 ** (8 * dtype.itemsize) - 1,
        "version": opened.version,
        "given": opened.given,
        "tags": opened.tags,
        "regions": [
            {
                "id": one.id,
                "given": one.given,
                "pseudo": one.pseudo,
                "confidence": one.confidence,
                "area": one.area,
                "x": one.x,
                "y": one.y,
                "width": one.width,
                "height": one.height,
                "status": one.status.name.lower(),
                "runs": one.region.runs.ravel().tolist(),
            }
            for one in opened.regions
        ],
        "edits": [{"by": one.by, "base": one.base} for one in opened.edits],
        "merged_since": opened.merged_since,
        "previous": opened.previous,
        "next": opened.next,
    }


def images(request: Request, app_context: AppContext) -> dict[str, Any]:
    """Answer one page of the images whose name contains a text."""
    query = request.query_params
    found = editing.list_images(
        app_context,
        whole(query, "dataset", least=1),
        whole(query, "round", least=1) if query.get("round") else None,
        text(query, "name") if query.get("name") else "",
        whole(query, "after", least=1) if query.get("after") else None,
    )
    return {
        "items": [
            {"sample": one.id, "name": one.name, "hash": one.content_hash, "regions": regions,
             "undecided": undecided}
            for one, regions, undecided in found
        ],
        "next": found[-1][0].id if len(found) == editing.LISTED else None,
    }  # fmt: skip


def labels(request: Request, app_context: AppContext) -> Response:
    """Answer the current mask, or that of a version."""
    query = request.query_params
    sample_id = whole(request.path_params, "sample_id", least=1)
    version = text(query, "version") if query.get("version") else None
    current, png = masks.read_mask_file(app_context, sample_id, version)
    answer = _png(png, {_VERSION: current, "Cache-Control": FOREVER if version else "no-store"})
    # decoded after the answer, so that the next edit need not wait
    answer.background = BackgroundTask(masks.read_mask, app_context, sample_id, current)
    return answer


def predicted(request: Request, app_context: AppContext) -> Response:
    """Answer a round's predicted mask."""
    round_id = whole(request.query_params, "round", least=1)
    mask = round_masks.predicted_mask(app_context, round_id, whole(request.path_params, "sample_id", least=1))
    return _png(to_png(mask), {"Cache-Control": "no-store"})


def save(post: BytesPost, app_context: AppContext) -> dict[str, Any]:
    """Store an edited mask: as the verdict on a finding, within a round, or without one."""
    headers = post.headers
    tiles = headers.get("x-outfold-tiles")
    if tiles not in {None, str(TILE)}:
        raise RequestError("there are no tiles of this size", f"send tiles of {TILE} x {TILE} pixels, or a whole mask")
    ids = {
        name: whole(headers, f"x-outfold-{name}", least=1) if headers.get(f"x-outfold-{name}") else None
        for name in ("finding", "round")
    }
    key = ActKey(text(headers, "x-outfold-client", longest=LONGEST_CLIENT), whole(headers, "x-outfold-seq"))
    edited = masks.save_edit(
        app_context,
        whole(post.path, "sample_id", least=1),
        EditContext(finding_id=ids["finding"], round_id=ids["round"]),
        post.data,
        base=text(headers, "x-outfold-base"),
        by=post.name,
        key=key,
        tiles=tiles is not None,
    )
    regions = [{"id": id_, "status": status.name.lower()} for id_, status in edited.statuses.items()]
    when = edited.saved_at.isoformat()
    return {"changeset": edited.changeset, "version": edited.version, "saved_at": when, "regions": regions}


def picture(request: Request, app_context: AppContext) -> Response:
    """Answer the picture of a region with its surroundings, or a layer over it."""
    layer = member(Layer, request.path_params["layer"], "layer")
    edge = request.path_params["edge"]
    if edge not in EDGES:
        raise RequestError(f"there is no size {edge}", f"choose from {', '.join(map(str, EDGES))}")
    finding_id = whole(request.path_params, "finding_id", least=1)
    found, version = round_masks.picture(app_context, finding_id, layer, edge, requested_window(request))
    return _kept(request, found, version, "image/webp")


def overlay(request: Request, app_context: AppContext) -> Response:
    """Answer the overlay of a mask over a whole image."""
    which = member(Overlay, request.path_params["which"], "which")
    found, version = round_masks.overlay(app_context, whole(request.path_params, "finding_id", least=1), which)
    return _kept(request, found, version, "image/png")


def _kept(request: Request, picture: bytes, version: str, media_type: str) -> Response:
    """Answer a picture; immutable for caches only under an address with its version, since ids may be reused."""
    present = request.query_params.get("v") == version
    headers = {"Cache-Control": FOREVER if present else "no-cache", "ETag": f'"{version}"'}
    if not present and request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return Response(picture, media_type=media_type, headers=headers)


def _png(data: bytes, headers: dict[str, str]) -> Response:
    return Response(data, media_type="image/png", headers=headers)
