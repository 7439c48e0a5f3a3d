"""`check`: quality of a folder's labels and images as one HTML file, without an import."""

import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.commands.console import echo, echo_table, inform, progress_bar, shell_quote, whole_percent
from core.data.formats.source import SourceFormat, existing_root
from core.data.storage import is_within
from core.types import DatasetError, ExportError, counted

if TYPE_CHECKING:
    from app.services.app_context import AppContext
    from app.services.imports.jobs import ImportRequest
    from core.checking import FolderCheck, Stage, Stages

MARK = '<meta name="generator" content="Outfold check">'  # in every report; other files are not written over
_SHOWN = 10  # problems on the terminal, and suspects
# Shares of the time of each stage without caches, measured on photographs of 256 pixels.
_SHARES = (0.01, 0.03, 0.06, 0.14, 0.55, 0.18, 0.02, 0.01)
_LEAST, _SHOWN_FROM = 1e-3, 0.02  # of the whole: the time left is shown from here on


def check(
    *,
    source: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="A folder of images, or a table or JSON file of them.")
    ],
    to: Annotated[
        Path | None, typer.Option(help="The report; default: check-NAME.html in the folder you are in.")
    ] = None,
    json_to: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also write all findings as JSON.")
    ] = None,
    form: Annotated[str, typer.Option("--format", help=f"{', '.join(SourceFormat)}; default: recognised.")] = "",
    path_column: Annotated[str, typer.Option(help="Column of a table with the image's path.")] = "",
    label_column: Annotated[str, typer.Option(help="Column of a table with the label.")] = "",
    split_column: Annotated[str, typer.Option(help="Column of a table with the split.")] = "",
    group_column: Annotated[str, typer.Option(help="Column of a table with the group.")] = "",
    allow_outside_links: Annotated[
        bool, typer.Option("--allow-outside-links", help="Follow links that leave the folder.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of the folds.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    open_: Annotated[
        bool, typer.Option("--open", help="Continue in the app: import the folder with these findings and serve.")
    ] = False,
    name: Annotated[str, typer.Option(help="With --open: the dataset's name; default: the folder's.")] = "",
    port: Annotated[int, typer.Option(min=0, max=65535, help="With --open: the port.")] = 8501,
) -> None:
    """Check a folder: wrong labels, near-duplicates, leaks between splits, outliers, images without content.

    A pretrained network embeds every image once, and every label is judged by a model that was trained without it.
    Writes one HTML file that needs no network and no server. Images are only read. Decoded images and embeddings are
    kept in OUTFOLD_HOME, so that a second check, and --open, take seconds.

    Examples:
      python -m app check /data/pets
      python -m app check /data/pets --to report.html --json findings.json
      python -m app check labels.csv --label-column breed
      python -m app check /data/pets --open
    """
    from datetime import UTC, datetime

    from app.services.app_context import open_app, prepare_home
    from app.services.imports.request import ImportRequest, propose_name
    from app.settings import settings
    from core.data.array_cache import prune
    from core.data.storage import CHECK, remove_abandoned, scratch_folder, write_atomically

    request = ImportRequest(
        name=name or propose_name(source.absolute()),
        source=str(source.absolute()),
        format=_format(form),
        path_column=path_column,
        label_column=label_column,
        split_column=split_column,
        group_column=group_column,
        allow_outside_links=allow_outside_links,
    )
    existing_root(source)
    report = (to or Path(f"check-{_as_file_name(request.name)}.html")).expanduser().absolute()
    _refuse_targets([report, *([json_to] if json_to else [])], source)
    chosen = settings()
    prepare_home(chosen)
    remove_abandoned(chosen.files, CHECK)
    with scratch_folder(chosen.files, CHECK) as scratch:
        place = scratch / "round"
        with _progress_stages() as stages:
            from app.commands.check_report import as_html, findings
            from core.checking import Stage

            found = _check(request, place, stages, seed=seed, device=device, keep_networks=open_)
            stages.enter(Stage.WRITING)
            write_atomically(report, as_html(found, stages.seconds, datetime.now(UTC).astimezone()).encode())
            stages.enter(Stage.WRITING, 1.0)
        if json_to:
            seconds = {stage.value: round(took, 2) for stage, took in stages.seconds.items()}
            values = findings(found) | {"seconds": seconds}
            write_atomically(json_to.expanduser().absolute(), json.dumps(values, ensure_ascii=False, indent=2).encode())
        prune(chosen.files / "images", chosen.cache_bytes)
        _echo_result(found, stages, report)
        if not open_:
            inform(f"go on in the app with these findings: python -m app check {shell_quote(str(source))} --open")
            return
        address = _import(open_app(chosen), request, found, place, port)
    _serve(address, port)


def _check(
    request: "ImportRequest", place: Path, stages: "Stages", *, seed: int, device: str, keep_networks: bool
) -> "FolderCheck":
    """Check the folder; its round's files lie in `place`."""
    from app.services.allowed import refuse_outside
    from app.services.app_context import AppContext
    from app.settings import settings
    from core.checking import check_folder, config_for, read_folder
    from db.engine import Database

    chosen = settings()
    unopened = AppContext(Database(chosen.app_url), chosen.files, chosen)  # connects on first use only
    refuse_outside(unopened, Path(request.source))
    options = request.options(unopened)
    folder = read_folder(Path(request.source), options, request.format, chosen.max_pixels, stages)
    config = config_for(folder, seed=seed, device=device)
    return check_folder(
        folder, config, place, image_cache=unopened.image_caches, stages=stages, keep_networks=keep_networks
    )


def _import(opened: "AppContext", request: "ImportRequest", found: "FolderCheck", place: Path, port: int) -> str:
    """Import the folder with the check as its round; return the address to open."""
    from app.commands.lookup import person
    from app.worker.check_import import adopt

    with progress_bar("importing") as step:
        round_id = adopt(opened, request, found, place, by=person(""), report=lambda text, done: step(done, 1.0, text))
    return f"http://localhost:{port}/" + ("datasets" if round_id is None else f"review?round={round_id}")


def _serve(address: str, port: int) -> None:
    """Serve the app unless it is served already, and open the address in a browser once it answers."""
    import subprocess
    import sys

    from app.commands.installation import serve
    from app.services.ports import refuse_unusable_port, serves_home, user_of
    from app.settings import settings

    is_served = serves_home(port, settings())
    if not is_served:
        refuse_unusable_port("127.0.0.1", port)
    echo(f"review it at {address}")
    subprocess.Popen(  # noqa: S603  own module
        [sys.executable, "-m", "app.commands.installation", address, str(port)], start_new_session=True
    )
    if is_served:
        inform(f"{user_of(port)} serves it already")
        return
    serve(address="127.0.0.1", port=port)


@contextmanager
def _progress_stages() -> "Iterator[Stages]":
    """Yield stages that show their progress and time left on a terminal."""
    with progress_bar("loading") as step:
        from core.checking import Stage, Stages  # torch, some seconds

        began = time.monotonic()
        before = {stage: sum(_SHARES[:index]) for index, stage in enumerate(Stage)}
        share = dict(zip(Stage, _SHARES, strict=True))

        def show(stage: "Stage", done: float, details: str) -> None:
            reached = before[stage] + share[stage] * done
            left = (time.monotonic() - began) * (1 / max(reached, _LEAST) - 1)
            words = [stage.value, details, f"about {left:.0f} s left" if reached > _SHOWN_FROM else ""]
            step(reached, 1.0, " · ".join(filter(None, words)))

        yield Stages(show)


def _echo_result(found: "FolderCheck", stages: "Stages", report: Path) -> None:
    """Print the counts of findings, the first suspects, and the path of the report."""
    from app.commands.check_report import findings
    from core.types import Severity

    values, images = findings(found), found.images
    spent = sum(stages.seconds.values())
    echo(f"{values['source']}: {counted(values['images'], 'image')}, checked in {spent:.0f} s")
    outlying = len(images.outliers or ())
    rows = [
        (len(values["suspects"]), "labels that the model contradicts") if found.judgement is not None else None,
        (len(images.leaks), "groups of near-duplicates across splits"),
        (len(images.duplicates) - len(images.leaks), "groups of near-duplicates within a split"),
        (outlying, "outliers"),
        (len(images.empty), "images without content"),
    ]
    echo_table(["found", ""], [(f"{row[0]:,}", row[1]) for row in rows if row], numbers=["found"])
    if found.judgement is None:
        echo(found.unjudged)
    else:
        echo("How many labels are wrong: unknown, until people judge a random sample.")
        first = values["suspects"][:_SHOWN]
        columns = ("most suspicious", "given", "suggested", "model's own estimate")
        echo_table(columns, [(one["path"], one["given"], one["suggested"], _percent(one)) for one in first])
    left_out = [one for one in found.folder.problems.kept if one.severity is Severity.ERROR]
    count = sum(count for (severity, _), count in found.folder.problems.counts.items() if severity is Severity.ERROR)
    echo_table(("left out", "problem", "cure"), [(one.path, one.message, one.cure) for one in left_out[:_SHOWN]])
    if count > _SHOWN:
        inform(f"left out: {counted(count, 'file')}; the report names them")
    echo(f"report: {report}")


def _percent(suspect: dict[str, Any]) -> str:
    return whole_percent(suspect["model_estimate"])


def _format(text: str) -> SourceFormat | None:
    try:
        return SourceFormat(text) if text else None
    except ValueError:
        raise DatasetError(f"there is no format {text}", f"there are {', '.join(SourceFormat)}") from None


def _as_file_name(name: str) -> str:
    """Return a dataset's name as a part of a file's."""
    return "".join(character if character.isalnum() or character in "-_. " else "-" for character in name)[:80]


def _refuse_targets(targets: Iterable[Path], source: Path) -> None:
    """Refuse targets among the images, and existing files that are not reports.

    Raises:
        ExportError: a target is refused.
    """
    around = os.path.realpath(source.expanduser())
    for target in targets:
        real = os.path.realpath(target.expanduser())
        if Path(around).is_dir() and is_within(real, around):
            raise ExportError(f"{target}: lies among the images", "name another place with --to or --json")
        if Path(real).is_dir():
            raise ExportError(f"{target}: is a folder", "name a file")
        if target.suffix == ".html" and Path(real).exists() and MARK.encode() not in Path(real).read_bytes()[:4096]:
            raise ExportError(f"{target}: exists and is not a report of a check", "name another file")
