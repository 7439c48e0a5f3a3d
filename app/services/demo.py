"""Demos of a new installation: digits with wrong labels, and scenes of digits with wrong masks."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from app.services.app_context import AppContext
from app.services.imports import jobs as imports, run as import_run
from app.services.imports.request import ImportRequest
from app.services.rounds import jobs as rounds
from core.data.demo import write_demo, write_demo_scenes
from core.data.formats.source import SourceFormat
from core.types import DatasetError
from db.queries import deletions

DEMO = "demo"  # recorded as the starter of the first rounds


@dataclass(frozen=True, slots=True)
class Demo:
    """One demo: name, folder, writer and import options."""

    name: str
    folder: str
    write: Callable[[Path], None]
    format: SourceFormat


DIGITS = Demo("Handwritten digits (demo)", "digits", write_demo, SourceFormat.IMAGEFOLDER)
SCENES = Demo("Scenes of digits (demo)", "scenes", write_demo_scenes, SourceFormat.MASK_PAIRS)
DEMOS = (DIGITS, SCENES)  # in the order in which their first rounds are done


def ensure_demos(app_context: AppContext) -> list[int]:
    """On a new, empty installation write and import the demos and start their first rounds; return these datasets.

    A killed start is completed; nothing is added if anything else was imported. A demo
    that was deleted is not added again.
    """
    names = {demo.name for demo in DEMOS}
    recent = imports.recent_imports(app_context)
    if not app_context.settings.demo or any(info.request["name"] not in names for info in recent):
        return []
    with app_context.database.read() as session:
        unwanted = deletions.deleted_datasets(session)
    done = {info.request["name"]: info.dataset_id for info in recent if info.dataset_id is not None}
    begun = []
    for demo in DEMOS:
        if demo.name in unwanted:
            continue
        dataset_id = done.get(demo.name) or _import(app_context, demo)
        with app_context.database.read() as session:
            had_rounds = deletions.round_ids(session, dataset_id)  # deleted ones too
        if not had_rounds:
            rounds.start_round(app_context, dataset_id, rounds.propose_config(app_context, dataset_id), by=DEMO)
            begun.append(dataset_id)
    return begun


def _import(app_context: AppContext, demo: Demo) -> int:
    folder = app_context.files / "demo" / demo.folder
    demo.write(folder)
    app_context.publish_tree(folder)
    request = ImportRequest(name=demo.name, source=str(folder), format=demo.format)
    done = import_run.run_import(app_context, imports.add_import(app_context, request))
    if done.dataset_id is None:
        raise DatasetError(f"the demo could not be imported: {done.message}")
    return done.dataset_id
