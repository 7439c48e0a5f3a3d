"""Folders that this installation may read from and write to: `allowed_roots`, and its own files."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.services.app_context import AppContext
from core.config import RoundConfig, Weights, weights_path
from core.data.confined import held_folder, real_path_of
from core.data.storage import is_within
from core.types import DatasetError, ExportError
from db.queries import exports
from db.visibility import everything_seen


def allowed_roots(app_context: AppContext) -> tuple[str, ...]:
    """Return the real paths of the allowed folders; empty: any folder is allowed."""
    return app_context.settings.real_roots


def refuse_outside(app_context: AppContext, path: Path) -> None:
    """Check that people may use this path, existing or not, links followed.

    Raises:
        DatasetError: it lies outside the allowed folders.
    """
    roots = allowed_roots(app_context)
    real = os.path.realpath(path.expanduser())
    if roots and not any(is_within(real, root) for root in roots):
        raise DatasetError(
            f"{path}: lies outside the folders this installation may use ({', '.join(roots[:-1])})",
            "copy the data there, or have the folder added to OUTFOLD_ALLOWED_ROOTS",
        )


def refuse_weights_outside(app_context: AppContext, config: RoundConfig) -> None:
    """Check that people may use the files of weights that a round's networks begin with, links followed.

    Raises:
        DatasetError: one lies outside the allowed folders.
        ConfigError: a folder holds no weights.
    """
    for network in config.networks:
        if network.weights is Weights.FILE:
            refuse_outside(app_context, Path(network.weights_file))  # before anything in a folder is looked at
            refuse_outside(app_context, weights_path(network))


def originals_around(app_context: AppContext, path: Path) -> str | None:
    """Return the folder of originals that this path, links followed, lies in or around; None: there is none.

    What is written there would be read as originals by the next import, or be written over them.
    """
    real = os.path.realpath(path.expanduser())
    with everything_seen(), app_context.database.read() as session:
        roots = [os.path.realpath(root) for root in exports.dataset_roots(session)]
    return next((root for root in roots if is_within(real, root) or is_within(root, real)), None)


@contextmanager
def held_target(app_context: AppContext, target: Path) -> Iterator[Path]:
    """Yield a path to the target of an export whose folder is held by descriptor, checked once it is held.

    A link that is put in its way before or while the export is written leads nowhere. The exports' own folder needs no
    check.

    Raises:
        DatasetError: it lies outside the allowed folders.
        ExportError: it and originals of a dataset lie within one another.
    """
    if target.is_relative_to(app_context.exports):
        yield target
        return
    refuse_bad_target(app_context, target)
    with held_folder(target.parent, allowed_roots(app_context)) as folder:
        refuse_bad_target(app_context, real_path_of(folder) / target.name)
        yield folder / target.name


def refuse_bad_target(app_context: AppContext, target: Path) -> None:
    """Check that an export may be written there, links followed.

    Raises:
        DatasetError: it lies outside the allowed folders.
        ExportError: it and originals of a dataset lie within one another.
    """
    refuse_outside(app_context, target)
    root = originals_around(app_context, target)
    if root is not None:
        raise ExportError(f"{target} and the originals in {root} lie within one another", "choose a folder elsewhere")
