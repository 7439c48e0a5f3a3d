"""`backup` and `restore-backup`: an installation as one file, made while it runs."""

from pathlib import Path
from typing import Annotated

import typer

from app.commands.console import JsonFlag, echo, echo_json, progress_bar


def backup(
    *, file: Annotated[Path, typer.Argument(metavar="FILE", help="The new file.")], as_json: JsonFlag = False
) -> None:
    """Write a backup of everything Outfold holds, while it runs: rows, masks, rounds, uploads, exports in the home.

    It is one consistent state of the database with the files that it names. Images of yours are read in place and not
    in it. Verdicts do not wait for it. Keep it secret: it holds the hashes of passwords and the key of the sessions.

    Examples:
      python -m app backup /backups/outfold-2026-11-29.tar
    """
    from app.commands.lookup import app_context
    from app.services.backups.make import make
    from core.data.storage import size_text

    with progress_bar("Back up", quiet=as_json) as show:
        made = make(app_context(), file, lambda done, name: show(0, 0, f"{size_text(done)} {name}"))
    if as_json:
        echo_json({"file": file, "files": len(made.files), "bytes": made.bytes, "made_at": made.made_at})
        return
    echo(f"{size_text(made.bytes)} in {file}, files: {len(made.files):,}")


def restore_backup(
    *,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that `backup` wrote.")],
    as_json: JsonFlag = False,
) -> None:
    """Restore a backup into an empty home (OUTFOLD_HOME) and, where OUTFOLD_DATABASE_URL is set, an empty database.

    Every file is checked by its hash before anything takes its place. Rounds that ran when the backup was made are
    shown as failed, and can be resumed.

    Examples:
      OUTFOLD_HOME=/data/restored python -m app restore-backup /backups/outfold-2026-11-29.tar
    """
    from app.services.backups.restore import restore
    from app.settings import settings
    from core.data.storage import size_text

    with progress_bar("Restore", quiet=as_json) as show:
        restored = restore(settings(), file, lambda done, name: show(0, 0, f"{size_text(done)} {name}"))
    if as_json:
        echo_json({"home": settings().folder, "files": len(restored.files), "bytes": restored.bytes})
        return
    echo(
        f"restored {size_text(restored.bytes)} of {restored.made_at[:16]} into {settings().folder}, "
        f"files: {len(restored.files):,}"
    )
