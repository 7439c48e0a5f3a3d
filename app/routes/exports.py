"""Small exports as one file each."""

from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse

from app.routes.answering import NOT_FOUND, RequestError
from app.routes.wire import whole
from app.services import exports
from app.services.workspace import Workspace
from core.types import ExportError


def download(request: Request, workspace: Workspace) -> FileResponse:
    """Answer a finished export as a zip."""
    export_id = whole(request.path_params, "export_id", least=1)
    try:
        archive = exports.archive(workspace, export_id)
        name = Path(exports.get_export(workspace, export_id).path).name
    except ExportError as error:
        raise RequestError(str(error), "choose another one on the Export page", NOT_FOUND) from error
    return FileResponse(archive, media_type="application/zip", filename=f"{name}.zip")
