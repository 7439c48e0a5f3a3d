"""`files`: files that several homes share behind a URL."""

import typer

from app.commands.console import JsonFlag, echo, echo_json, help_of, progress_bar

files = typer.Typer(name="files", rich_markup_mode=None, no_args_is_help=True)


def publish(*, as_json: JsonFlag = False) -> None:
    """Publish the files of this home behind OUTFOLD_FILES_URL, once, before other homes share them.

    Stop Outfold before. The database has to be the one that the other homes will use. What is there already is not
    sent again, so a publication that was interrupted goes on. Afterwards the home's folder is a cache of the store.

    Examples:
      OUTFOLD_FILES_URL=s3://bucket/outfold python -m app files publish
    """
    from app.services.publication import publish_files
    from app.settings import settings
    from core.data.remote import shown_url

    with progress_bar("Publish", quiet=as_json) as show:
        count = publish_files(settings(), lambda done, name: show(done, 0, name))
    where = shown_url(settings().files_url)
    if as_json:
        echo_json({"files": count, "url": where})
        return
    echo(f"files: {count:,} of this home are behind {where}")


files.callback(help="Files that several homes share behind a URL.")(lambda: None)
files.command("publish", help=help_of(publish))(publish)
