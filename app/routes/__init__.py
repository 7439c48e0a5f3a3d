"""The app's own HTTP routes, under /outfold: images, findings, verdicts, masks, tags.

JSON in, JSON out, but for masks, which travel as deflated labels; an error is always {"error", "cure"}. Every POST
needs the header `X-Outfold: 1`, which no foreign page can send, and a name in the cookie `outfold_name` (but for the
one that sets it).
"""

from collections.abc import Callable

from anyio import CapacityLimiter
from starlette.routing import BaseRoute, Route

from app.routes import acts, audits, exports, masks, media, people, reading, tags
from app.routes.answering import answer_get, answer_post, answer_upload
from app.services.workspace import Workspace, workspace

IMAGE_THREADS = 8  # a page of thumbnails is drawn at once; no verdict may wait behind it


def routes(opened: Callable[[], Workspace] = workspace) -> list[BaseRoute]:
    """Return the routes over the workspace that `opened` gives."""
    gets = {
        "/health": media.health,
        "/assets/{version}/{path:path}": media.asset,
        "/rounds/{round_id}": reading.one_round,
        "/state": reading.state,
        "/findings": reading.queue,
        "/findings/{finding_id}": reading.one_finding,
        "/counts": reading.counted,
        "/accept_all": reading.previewed,
        "/audits": audits.of_round,
        "/audits/{audit_id:int}": audits.one,
        "/exports/{export_id:int}.zip": exports.download,
        "/masks": masks.images,
        "/masks/{sample_id:int}": masks.one_mask,
        "/masks/{sample_id:int}/labels": masks.labels,
        "/masks/{sample_id:int}/predicted": masks.predicted,
        "/tags/{dataset_id:int}": tags.panel,
        "/tags/{dataset_id:int}/images": tags.images,
        "/tags/image/{sample_id:int}": tags.one_image,
        "/me": people.who_am_i,
    }
    posts = {
        "/acts": acts.act,
        "/accept_all": acts.accept_everything,
        "/audits": audits.start,
        "/audits/cards": audits.cards,
        "/audits/close": audits.close,
        "/audits/quarters": audits.quarters,
        "/tags": tags.act,
    }
    found: list[BaseRoute] = [
        Route(f"/outfold{path}", answer_get(opened, handler), methods=["GET"]) for path, handler in gets.items()
    ]
    found += [
        Route(f"/outfold{path}", answer_post(opened, handler), methods=["POST"]) for path, handler in posts.items()
    ]
    threads = CapacityLimiter(IMAGE_THREADS)
    pictures = {
        "/image/{content_hash}/{edge:int}.webp": media.image,
        "/regions/{finding_id:int}/{layer}/{edge:int}.webp": masks.picture,
        "/regions/{finding_id:int}/{which}.png": masks.overlay,
    }
    found += [
        Route(f"/outfold{path}", answer_get(opened, handler, threads=threads), methods=["GET"])
        for path, handler in pictures.items()
    ]
    edits = answer_upload(opened, masks.save, masks.LARGEST_MASK)
    found.append(Route("/outfold/masks/{sample_id:int}", edits, methods=["POST"]))
    found.append(Route("/outfold/me", answer_post(opened, people.sign_in, named=False), methods=["POST"]))
    return found
