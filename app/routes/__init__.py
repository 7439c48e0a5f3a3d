"""The app's own HTTP routes, under /outfold: images, findings, verdicts, masks, tags, classes; and former addresses.

Health, readiness and metrics are where such tools look for them: `/healthz`, `/readyz`, `/metrics`.

JSON in, JSON out, except for masks, which go out as PNG and come in as deflated labels; an error is always
{"error", "cure"}. Every POST needs the header `X-Outfold: 1`, which foreign pages cannot send, and a name in the cookie
`outfold_name` (except the one that sets it). With login each requires a right of the user's role, the health check
for none.
"""

from collections.abc import Callable

from anyio import CapacityLimiter
from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.routing import BaseRoute, Route

from app.routes import acts, classes, masks, media, operation, people, review, tags
from app.routes.handlers import answer_get, answer_post, answer_upload
from app.routes.login import login_routes
from app.routes.operation import HEALTHY, METRICS, READY
from app.services.app_context import AppContext, app_context
from core.types import Right

IMAGE_THREADS = 8  # a page requests all its thumbnails at once; verdicts must not wait behind them


def routes(opened: Callable[[], AppContext] = app_context) -> list[BaseRoute]:
    """Return the routes over the installation that `opened` gives."""
    gets = {
        "/health": (media.health, None),
        "/assets/{version}/{path:path}": (media.asset, Right.LOOK),
        "/rounds/{round_id}": (review.one_round, Right.LOOK),
        "/state": (review.state, Right.LOOK),
        "/findings": (review.queue, Right.LOOK),
        "/findings/{finding_id}": (review.one_finding, Right.LOOK),
        "/counts": (review.counts, Right.LOOK),
        "/accept_all": (review.preview_accept, Right.LEAD),
        "/removal": (review.preview_removal, Right.LEAD),
        "/audits": (review.list_audits, Right.LOOK),
        "/audits/{audit_id:int}": (review.one_audit, Right.LOOK),
        "/exports/{export_id:int}.zip": (media.export_archive, Right.LEAD),
        "/masks": (masks.images, Right.LOOK),
        "/masks/{sample_id:int}": (masks.one_mask, Right.LOOK),
        "/masks/{sample_id:int}/labels": (masks.labels, Right.LOOK),
        "/masks/{sample_id:int}/predicted": (masks.predicted, Right.LOOK),
        "/classes/{dataset_id:int}": (classes.overview, Right.LOOK),
        "/classes/{dataset_id:int}/merge": (classes.preview_merge, Right.LEAD),
        "/tags/{dataset_id:int}": (tags.panel, Right.LOOK),
        "/tags/{dataset_id:int}/images": (tags.images, Right.LOOK),
        "/tags/image/{sample_id:int}": (tags.one_image, Right.LOOK),
        "/me": (people.who_am_i, Right.LOOK),
    }
    posts = {
        "/acts": (acts.act, Right.DECIDE),
        "/accept_all": (acts.accept_everything, Right.LEAD),
        "/removal": (review.remove_images, Right.LEAD),
        "/audits": (review.start_audit, Right.LEAD),
        "/audits/cards": (review.audit_cards, Right.DECIDE),
        "/audits/close": (review.close_audit, Right.LEAD),
        "/audits/quarters": (review.split_audit, Right.LEAD),
        "/tags": (tags.act, Right.DECIDE),
    }
    found: list[BaseRoute] = [
        Route(f"/outfold{path}", answer_get(opened, handler, right), methods=["GET"])
        for path, (handler, right) in gets.items()
    ]
    found += [
        Route(f"/outfold{path}", answer_post(opened, handler, right), methods=["POST"])
        for path, (handler, right) in posts.items()
    ]
    # each checks access itself; see `app.routes.operation`
    for path, handler in {HEALTHY: operation.healthy, READY: operation.ready, METRICS: operation.metrics}.items():
        found.append(Route(path, answer_get(opened, handler, None), methods=["GET"]))
    threads = CapacityLimiter(IMAGE_THREADS)
    pictures = {
        "/image/{content_hash}/{edge:int}.webp": media.image,
        "/image/{content_hash}/tiles/{level:int}/{column:int}/{row:int}.webp": media.image_tile,
        "/regions/{finding_id:int}/{layer}/{edge:int}.webp": masks.picture,
        "/regions/{finding_id:int}/{which}.png": masks.overlay,
    }
    found += [
        Route(f"/outfold{path}", answer_get(opened, handler, Right.LOOK, threads=threads), methods=["GET"])
        for path, handler in pictures.items()
    ]
    edits = answer_upload(opened, masks.save, Right.DECIDE, masks.LARGEST_MASK)
    found.append(Route("/outfold/masks/{sample_id:int}", edits, methods=["POST"]))
    found.append(
        Route("/outfold/me", answer_post(opened, people.sign_in, Right.DECIDE, needs_name=False), methods=["POST"])
    )
    found += login_routes(opened)
    found.append(Route("/worth", _redirect_to_impact, methods=["GET"]))
    return found


async def _redirect_to_impact(request: Request) -> RedirectResponse:
    """Redirect the former address of the Impact page, with its parameters; relative, for a server below a path."""
    return RedirectResponse(f"impact?{request.url.query}".rstrip("?"))
