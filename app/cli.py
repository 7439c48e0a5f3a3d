"""The command line, `python -m app`: the whole loop without a browser."""

from collections.abc import Callable

import typer

from app.commands import (
    backups,
    class_acts,
    database,
    datasets,
    deletions,
    exports,
    files,
    folder_check,
    imports,
    installation,
    predictions,
    review,
    round_results,
    rounds,
    tags,
    users,
)
from app.commands.console import Commands, help_of

app = typer.Typer(
    name="python -m app",
    cls=Commands,
    help="Second opinions for image labels: find wrong labels, decide on them, export a clean dataset.",
    epilog="Settings are environment variables, OUTFOLD_HOME first of all; the README lists them.",
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help starts three times as fast and reads the same in a pipe
    add_completion=False,
    pretty_exceptions_enable=False,
)
COMMANDS: dict[str, Callable[..., None]] = {
    "check": folder_check.check,
    "import": imports.import_,
    "label": rounds.label,
    "round": rounds.round_,
    "rounds": round_results.rounds_,
    "findings": review.findings,
    "audit": review.audit,
    "accept": review.accept,
    "undo": review.undo,
    "redo": review.redo,
    "export": exports.export,
    "delete": deletions.delete,
    "remove-images": deletions.remove_images,
    "undo-import": deletions.undo_import,
    "restore": deletions.restore,
    "predict": predictions.predict,
    "models": predictions.models,
    "import-predictions": predictions.import_predictions,
    "export-predictions": predictions.export_predictions,
    "impact": rounds.impact,
    "worker": installation.worker,
    "serve": installation.serve,
    "doctor": installation.doctor,
    "log": users.log,
    "backup": backups.backup,
    "restore-backup": backups.restore_backup,
}
for name, command in COMMANDS.items():
    app.command(name, help=help_of(command))(command)
app.command("worth", help=help_of(rounds.impact), hidden=True)(rounds.impact)  # its former name
app.add_typer(exports.patch)
app.add_typer(datasets.datasets)
app.add_typer(tags.tags)
app.add_typer(class_acts.classes)
app.add_typer(users.users)
app.add_typer(database.database)
app.add_typer(files.files)
