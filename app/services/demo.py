"""The demos a new installation begins with: digits with wrong labels, and scenes of digits with wrong masks."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from app.services import import_run, imports, rounds
from app.services.import_request import ImportRequest
from app.services.workspace import Workspace
from core.data.demo import write_demo
from core.data.demo_scenes import write_demo_scenes
from core.data.formats.source import SourceFormat
from core.types import DatasetError


@dataclass(frozen=True, slots=True)
class Demo:
    """One demo: what it is called, its folder, how it is written and read."""

    name: str
    folder: str
    write: Callable[[Path], None]
    format: SourceFormat


DIGITS = Demo("Handwritten digits (demo)", "digits", write_demo, SourceFormat.IMAGEFOLDER)
SCENES = Demo("Scenes of digits (demo)", "scenes", write_demo_scenes, SourceFormat.MASK_PAIRS)
DEMOS = (DIGITS, SCENES)  # in the order in which their first rounds are done


def ensure_demos(workspace: Workspace) -> list[int]:
    """On a new, empty installation write and import the demos and start their first rounds; return these datasets.

    What an earlier start was killed in the middle of is done now; where anything else was imported, nothing is.
    """
    names = {demo.name for demo in DEMOS}
    recent = imports.recent_imports(workspace)
    if not workspace.settings.demo or any(info.request["name"] not in names for info in recent):
        return []
    done = {info.request["name"]: info.dataset_id for info in recent if info.dataset_id is not None}
    begun = []
    for demo in DEMOS:
        dataset_id = done.get(demo.name) or _import(workspace, demo)
        if not rounds.list_rounds(workspace, dataset_id):
            rounds.start_round(workspace, dataset_id, rounds.propose_config(workspace, dataset_id), by="demo")
            begun.append(dataset_id)
    return begun


def _import(workspace: Workspace, demo: Demo) -> int:
    folder = workspace.files / "demo" / demo.folder
    demo.write(folder)
    request = ImportRequest(name=demo.name, source=str(folder), format=demo.format)
    done = import_run.run_import(workspace, imports.start_import(workspace, request))
    if done.dataset_id is None:
        raise DatasetError(f"the demo could not be imported: {done.message}")
    return done.dataset_id
