"""Files that browsers cache by their content (images, modules, styles), and the health check."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import text
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from app import __version__
from app.components import assets
from app.routes.handlers import NOT_FOUND, RequestError, whole
from app.services import images, images as image_tiles
from app.services.app_context import AppContext
from app.services.exports import jobs as export_jobs
from app.services.images import MOST_HALVINGS
from app.services.ports import home_id
from core.data.windows import FULL, FULL_RANGE, Window, parse_window, window_text
from core.types import DatasetError, ExportError

FOREVER = "private, max-age=31536000, immutable"
HASH_LENGTH = 32
HEX = frozenset("0123456789abcdef")


def health(_request: Request, app_context: AppContext) -> dict[str, Any]:
    """Answer version and home of the app if its database responds."""
    with app_context.database.read() as session:
        session.execute(text("SELECT 1"))
    return {"ok": True, "version": __version__, "home": home_id(app_context.settings)}


def asset(request: Request, _app_context: AppContext) -> Response:
    """Answer a module or style of a component; immutable for caches under the address of its current content."""
    file = assets.find(request.path_params["path"])
    if file is None:
        raise RequestError("there is no such asset", "reload the page", NOT_FOUND)
    present = request.path_params["version"] == assets.version()
    headers = {"Cache-Control": FOREVER if present else "no-cache", "X-Content-Type-Options": "nosniff"}
    return FileResponse(file, media_type=assets.MEDIA_TYPES[file.suffix], headers=headers)


def image(request: Request, app_context: AppContext) -> Response:
    """Answer an image at one of the available sizes."""
    edge = request.path_params["edge"]
    if edge not in (*images.EDGES, images.FULL_SIZE):
        raise RequestError(f"there is no size {edge}", f"choose from {', '.join(map(str, images.EDGES))} or 0")
    return _of_image(request, app_context, str(edge), partial(images.thumbnail, edge=edge))


def image_tile(request: Request, app_context: AppContext) -> Response:
    """Answer a tile of an image, at full size or halved `level` times."""
    level, column, row = (request.path_params[name] for name in ("level", "column", "row"))
    if level > MOST_HALVINGS:
        raise RequestError("the image is not halved so often", f"send a level from 0 to {MOST_HALVINGS}")
    draw = partial(image_tiles.image_tile, tile=(level, column, row))
    return _of_image(request, app_context, f"{level}-{column}-{row}", draw)


def _of_image(request: Request, app_context: AppContext, what: str, draw: Callable[..., bytes | None]) -> Response:
    """Answer the picture that `draw` makes of the addressed image, through the window in use."""
    content_hash = request.path_params["content_hash"]
    if len(content_hash) != HASH_LENGTH or not set(content_hash) <= HEX:
        raise RequestError("this is not a content hash", "send 32 hexadecimal digits")
    requested = requested_window(request)
    window = requested if requested is not None else images.window_in_use(app_context, content_hash)
    headers = {"Cache-Control": FOREVER}
    if requested is None and window is not None:  # the dataset's, which may be changed
        headers = {"Cache-Control": "private, no-cache", "ETag": f'"{content_hash}-{what}-{window_text(window)}"'}
        if request.headers.get("if-none-match") == headers["ETag"]:
            return Response(status_code=304, headers=headers)
    found = draw(app_context, content_hash, window=window)
    if found is None:
        raise RequestError("the image is gone or has changed since its import", "import the dataset again", NOT_FOUND)
    return Response(found, media_type="image/webp", headers=headers)


def requested_window(request: Request) -> Window | None:
    """Return the range of greys in the parameter `window`, None without one."""
    text = request.query_params.get("window", "")
    try:
        return FULL_RANGE if text == FULL else parse_window(text)
    except DatasetError as error:
        raise RequestError(str(error), "send two values, as in 0-4095") from error


def export_archive(request: Request, app_context: AppContext) -> FileResponse:
    """Answer a finished export as a zip."""
    export_id = whole(request.path_params, "export_id", least=1)
    try:
        archive = export_jobs.archive(app_context, export_id)
        name = Path(export_jobs.get_export(app_context, export_id).path).name
    except ExportError as error:
        raise RequestError(str(error), "choose another one on the Export page", NOT_FOUND) from error
    return FileResponse(archive, media_type="application/zip", filename=f"{name}.zip")
