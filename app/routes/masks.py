"""Masks for the editor and for the cards: labels as deflated bytes, regions, pictures that lie over images.

Labels travel row by row, little-endian, deflated by zlib; the header `X-Outfold-Version` names the mask they are.
"""

import zlib
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from app.routes.answering import RequestError, Uploaded
from app.routes.media import FOREVER, window_of
from app.routes.wire import LONGEST_CLIENT, member, text, whole
from app.services import editing, masks, round_masks
from app.services.masks import EditAbout
from app.services.reviews import ActKey
from app.services.round_masks import EDGES, Layer, Overlay
from app.services.workspace import Workspace
from core.types import IntArray, mask_dtype

LARGEST_MASK = 64 << 20  # deflated bytes
_VERSION = "X-Outfold-Version"


def one_mask(request: Request, workspace: Workspace) -> dict[str, Any]:
    """Answer an image with its present mask's version and what a round found in it."""
    asked = request.query_params
    round_id = whole(asked, "round", least=1) if asked.get("round") else None
    opened = masks.view_mask(workspace, whole(request.path_params, "sample_id", least=1), round_id)
    sample = opened.sample
    dtype = mask_dtype(len(sample.classes))
    return {
        "sample": sample.id,
        "dataset": sample.dataset_id,
        "name": sample.name,
        "hash": sample.content_hash,
        "width": sample.width,
        "height": sample.height,
        "classes": sample.classes,
        "colours": sample.colours,
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
        "previous": opened.previous,
        "next": opened.next,
    }


def images(request: Request, workspace: Workspace) -> dict[str, Any]:
    """Answer images by name, those that have a text in it, a page at a time."""
    asked = request.query_params
    found = editing.list_images(
        workspace,
        whole(asked, "dataset", least=1),
        whole(asked, "round", least=1) if asked.get("round") else None,
        text(asked, "name") if asked.get("name") else "",
        whole(asked, "after", least=1) if asked.get("after") else None,
    )
    return {
        "items": [
            {"sample": one.id, "name": one.name, "hash": one.content_hash, "regions": one.regions,
             "undecided": one.undecided}
            for one in found
        ],
        "next": found[-1].id if len(found) == editing.LISTED else None,
    }  # fmt: skip


def labels(request: Request, workspace: Workspace) -> Response:
    """Answer the present mask, or the one of a version."""
    asked = request.query_params
    version = text(asked, "version") if asked.get("version") else None
    current, mask = masks.labels(workspace, whole(request.path_params, "sample_id", least=1), version)
    return _packed(mask, {_VERSION: current, "Cache-Control": FOREVER if version else "no-store"})


def predicted(request: Request, workspace: Workspace) -> Response:
    """Answer what a round predicted."""
    round_id = whole(request.query_params, "round", least=1)
    mask = round_masks.predicted_mask(workspace, round_id, whole(request.path_params, "sample_id", least=1))
    return _packed(mask, {"Cache-Control": "no-store"})


def save(uploaded: Uploaded, workspace: Workspace) -> dict[str, Any]:
    """Store an edited mask: as the verdict on a finding, or in a round, or by itself."""
    headers = uploaded.headers
    named = {
        name: whole(headers, f"x-outfold-{name}", least=1) if headers.get(f"x-outfold-{name}") else None
        for name in ("finding", "round")
    }
    key = ActKey(text(headers, "x-outfold-client", longest=LONGEST_CLIENT), whole(headers, "x-outfold-seq"))
    edited = masks.save_edit(
        workspace,
        whole(uploaded.path, "sample_id", least=1),
        EditAbout(finding_id=named["finding"], round_id=named["round"]),
        uploaded.data,
        base=text(headers, "x-outfold-base"),
        by=uploaded.name,
        key=key,
    )
    beside = [{"id": id_, "status": status.name.lower()} for id_, status in edited.beside.items()]
    when = edited.saved_at.isoformat()
    return {"changeset": edited.changeset, "version": edited.version, "saved_at": when, "regions": beside}


def picture(request: Request, workspace: Workspace) -> Response:
    """Answer a region with its surroundings, or what lies over that."""
    layer = member(Layer, request.path_params["layer"], "layer")
    edge = request.path_params["edge"]
    if edge not in EDGES:
        raise RequestError(f"there is no size {edge}", f"choose from {', '.join(map(str, EDGES))}")
    finding_id = whole(request.path_params, "finding_id", least=1)
    found, version = round_masks.picture(workspace, finding_id, layer, edge, window_of(request))
    return _kept(request, found, version, "image/webp")


def overlay(request: Request, workspace: Workspace) -> Response:
    """Answer a mask over a whole image."""
    which = member(Overlay, request.path_params["which"], "which")
    found, version = round_masks.overlay(workspace, whole(request.path_params, "finding_id", least=1), which)
    return _kept(request, found, version, "image/png")


def _kept(request: Request, picture: bytes, version: str, media_type: str) -> Response:
    """Answer a picture; kept for ever only under the address that names what it shows, since ids begin anew."""
    present = request.query_params.get("v") == version
    headers = {"Cache-Control": FOREVER if present else "no-cache", "ETag": f'"{version}"'}
    if not present and request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return Response(picture, media_type=media_type, headers=headers)


def _packed(mask: IntArray, headers: dict[str, str]) -> Response:
    data = mask.astype(mask.dtype.newbyteorder("<"), copy=False).tobytes()
    return Response(zlib.compress(data, level=1), media_type="application/octet-stream", headers=headers)
