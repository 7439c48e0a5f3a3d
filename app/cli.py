"""The command line, `python -m app`: the whole loop without a browser."""

from collections.abc import Callable

import typer

from app.commands import (
    acting,
    auditing,
    checking,
    diagnosing,
    exporting,
    history,
    importing,
    listing,
    predicting,
    predictions,
    reviewing,
    rounds,
    running,
    tagging,
    worth,
)
from app.commands.speaking import Commands, help_of

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
    "check": checking.check,
    "import": importing.import_,
    "round": rounds.round_,
    "rounds": history.rounds_,
    "findings": reviewing.findings,
    "audit": auditing.audit,
    "accept": acting.accept,
    "undo": acting.undo,
    "redo": acting.redo,
    "export": exporting.export,
    "predict": predicting.predict,
    "models": predicting.models,
    "import-predictions": predictions.import_predictions,
    "export-predictions": predictions.export_predictions,
    "worth": worth.worth,
    "worker": running.worker,
    "serve": running.serve,
    "doctor": diagnosing.doctor,
}
for name, command in COMMANDS.items():
    app.command(name, help=help_of(command))(command)
app.add_typer(exporting.patch)
app.add_typer(listing.datasets)
app.add_typer(tagging.tags)
