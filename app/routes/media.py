"""What the browser keeps: images by their content, the components' modules and styles by theirs. And the pulse."""

from typing import Any

from sqlalchemy import text
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from app import __version__
from app.components import assets
from app.routes.answering import NOT_FOUND, RequestError
from app.services import images
from app.services.ports import home_id
from app.services.workspace import Workspace
from core.data.windows import FULL, FULL_RANGE, Window, parse_window
from core.types import DatasetError

FOREVER = "private, max-age=31536000, immutable"
HASH_LENGTH = 32
HEX = frozenset("0123456789abcdef")


def health(_request: Request, workspace: Workspace) -> dict[str, Any]:
    """Answer that the app and its database are there, and whose they are."""
    with workspace.database.read() as session:
        session.execute(text("SELECT 1"))
    return {"ok": True, "version": __version__, "home": home_id(workspace.settings)}


def asset(request: Request, _workspace: Workspace) -> Response:
    """Answer a module or a style of a component; kept for ever only under the address of its present content."""
    file = assets.find(request.path_params["path"])
    if file is None:
        raise RequestError("there is no such asset", "reload the page", NOT_FOUND)
    present = request.path_params["version"] == assets.version()
    headers = {"Cache-Control": FOREVER if present else "no-cache", "X-Content-Type-Options": "nosniff"}
    return FileResponse(file, media_type=assets.MEDIA_TYPES[file.suffix], headers=headers)


def image(request: Request, workspace: Workspace) -> Response:
    """Answer an image at one of the sizes there are."""
    content_hash, edge = request.path_params["content_hash"], request.path_params["edge"]
    if len(content_hash) != HASH_LENGTH or not set(content_hash) <= HEX:
        raise RequestError("this is no content hash", "send 32 hexadecimal digits")
    if edge not in (*images.EDGES, images.FULL_SIZE):
        raise RequestError(f"there is no size {edge}", f"choose from {', '.join(map(str, images.EDGES))} or 0")
    named = window_of(request)
    window = named if named is not None else images.window_in_use(workspace, content_hash)
    found = images.thumbnail(workspace, content_hash, edge, window)
    if found is None:
        raise RequestError("the image is gone or has changed since its import", "import the dataset again", NOT_FOUND)
    lasting = FOREVER if named is not None or window is None else "private, no-cache"  # a dataset's may be changed
    return Response(found, media_type="image/webp", headers={"Cache-Control": lasting})


def window_of(request: Request) -> Window | None:
    """Return the range of greys that an address names as `window`, None where it names none."""
    text = request.query_params.get("window", "")
    try:
        return FULL_RANGE if text == FULL else parse_window(text)
    except DatasetError as error:
        raise RequestError(str(error), "send two values, as in 0-4095") from error
