"""`database`: the installation's database as a whole."""

from typing import Annotated

import typer

from app.commands.console import JsonFlag, echo, echo_json, echo_table, help_of, progress_bar

database = typer.Typer(name="database", rich_markup_mode=None, no_args_is_help=True)
Source = Annotated[str, typer.Argument(metavar="FROM", help="SQLAlchemy URL of the database to read.")]
Target = Annotated[str, typer.Argument(metavar="TO", help="URL of an empty database.")]
HASH_DIGITS = 16  # as printed; --json has all


def copy(*, source: Source, target: Target, as_json: JsonFlag = False) -> None:
    """Copy a database into an empty one: from SQLite to PostgreSQL, or back.

    Stop Outfold before; what is stored after the copy has begun is not in it, and a running worker refuses it. The
    files of the home are not touched. Both get this release's schema, all rows are stored in one transaction, and each
    table's count and hash are compared before it ends. Then set OUTFOLD_DATABASE_URL to TO and start Outfold again.

    Examples:
      python -m app database copy sqlite:////data/var/outfold.sqlite postgresql+psycopg://outfold@db/outfold
      python -m app database copy postgresql+psycopg://outfold@db/outfold sqlite:////data/var/outfold.sqlite
    """
    from app.services import database_copy
    from app.settings import settings
    from db.faults import name_of

    with progress_bar("Copy", quiet=as_json) as show:
        done = database_copy.copy(settings(), source, target, lambda table: show(0, 0, table.table))
    if as_json:
        echo_json(done)
        return
    echo_table(
        ["table", "rows", "hash"], [(one.table, f"{one.rows:,}", one.hash[:HASH_DIGITS]) for one in done], ["rows"]
    )
    echo(f"{sum(one.rows for one in done):,} rows are in {name_of(target)}; counts and hashes are equal")


database.callback(help="The database as a whole: copy it to another place.")(lambda: None)
database.command("copy", help=help_of(copy))(copy)
