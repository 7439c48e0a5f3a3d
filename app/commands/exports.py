"""`export`, `patch apply`, `patch revert`: labels as a whole dataset, or their changes alone."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.commands.console import DatasetName, JsonFlag, echo, echo_json, echo_table, fail, help_of, inform, progress_bar
from core.data.export.items import ExportFormat, ExportOptions, Link, UnusablePolicy
from core.data.masks.items import Per
from core.types import counted

if TYPE_CHECKING:
    from core.data.patch import Applied

SHOWN = 20  # class pairs, and missing images

patch = typer.Typer(
    name="patch", help="Apply the label changes of a patch to a copy of the labels, or take them back.",
    no_args_is_help=True, rich_markup_mode=None,
)  # fmt: skip

PatchFile = Annotated[Path, typer.Argument(metavar="PATCH", help="patch.json, patch.csv, or the export they are in.")]
Target = Annotated[Path, typer.Argument(metavar="TARGET", help="A table of labels, or a copy of class folders.")]


def export(
    *,
    dataset: DatasetName,
    form: Annotated[
        ExportFormat | None,
        typer.Option("--format", help="Format; default: imagefolder, for masks mask-pairs."),
    ] = None,
    to: Annotated[
        Path | None, typer.Option(help="A new folder; default: one below the installation's exports.")
    ] = None,
    link: Annotated[Link, typer.Option(help="How images are placed; a hard link needs no space.")] = Link.HARD_LINK,
    no_copy: Annotated[
        bool, typer.Option("--no-copy", help="Fail if a hard link is impossible, instead of copying.")
    ] = False,
    ambiguous: Annotated[
        UnusablePolicy, typer.Option(help="Images that several classes fit; such regions, left out, are IGNORE.")
    ] = UnusablePolicy.LEAVE_OUT,
    excluded: Annotated[
        UnusablePolicy, typer.Option(help="Images, or regions, that no class fits.")
    ] = UnusablePolicy.LEAVE_OUT,
    unlabelled: Annotated[UnusablePolicy, typer.Option(help="Unlabelled images.")] = UnusablePolicy.LEAVE_OUT,
    split: Annotated[list[str] | None, typer.Option(help="Only this split; may be given several times.")] = None,
    per: Annotated[
        Per, typer.Option(help="coco, mask-pairs: an annotation, or a PNG besides, for each class or connected piece.")
    ] = Per.USUAL,
    raw: Annotated[
        bool, typer.Option("--raw", help="In CSV, no apostrophe before text that spreadsheets run as a formula.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a former export in that folder.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the plan.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Write the dataset with the labels as decided; the export is read back and compared before it is done.

    Originals are never changed. Two exports of one state are the same bytes.

    Examples:
      python -m app export pets --to /data/pets-clean
      python -m app export pets --format csv --ambiguous apart --to /data/pets-labels
      python -m app export pets --format patch --to /data/pets-patch
      python -m app export scenes --format voc --ambiguous keep-given --to /data/scenes-voc
      python -m app export scenes --format coco --per class --to /data/scenes-coco
      python -m app export pets --dry-run
    """
    from app.commands.jobs import run_job
    from app.commands.lookup import app_context, get_dataset, person
    from app.services import jobs
    from app.services.exports import jobs as exports
    from app.services.label_kinds import label_kind
    from core.types import JobStatus

    opened = app_context()
    info = get_dataset(opened, dataset)
    options = ExportOptions(
        format=form or label_kind(info.task).export_formats[0],
        link=link,
        copy_if_needed=not no_copy,
        ambiguous=ambiguous,
        excluded=excluded,
        unlabelled=unlabelled,
        splits=tuple(split or ()),
        per=per,
        raw=raw,
    )
    request = exports.ExportRequest(
        dataset_id=info.id, options=options, folder=str(to.absolute()) if to else "", overwrite=overwrite, by=person("")
    )
    if dry_run:
        seen = exports.preview(opened, request)
        if seen.problem:
            fail(seen.problem)
        whole = {
            "would_write": seen.counts, "known": seen.known, "bytes": seen.bytes, "to": seen.target,
            "notes": list(seen.notes),
        }  # fmt: skip
        _show(seen.counts, seen.known, whole, as_json=as_json)
        for note in () if as_json else seen.notes:
            echo(f"{note}.")
        return
    queued = exports.add_export(opened, request)
    try:
        with progress_bar("reading the labels", quiet=as_json) as step:
            done = run_job(
                opened,
                step,
                here=lambda: exports.run_export(opened, queued.id, step),
                hand_over=lambda: jobs.enqueue_export(opened, queued.id),
                look=lambda: exports.get_export(opened, queued.id),
            )
    except KeyboardInterrupt:
        exports.end_export(opened, queued.id)
        raise
    if done.status is not JobStatus.DONE or done.manifest is None:
        fail(done.message)
    whole = {"export": done.id, "path": done.path, "manifest": done.manifest}
    _show(done.manifest["counts"], done.manifest["known"], whole, as_json=as_json)
    if not as_json:
        placed = ", ".join(f"{count:,} by {how}" for how, count in done.manifest["files"]["placed"].items())
        echo(f"wrote {done.path}" + (f" ({placed})" if placed else ""))


def apply_(*, patch_file: PatchFile, target: Target, as_json: JsonFlag = False) -> None:
    """Apply a patch to labels; all changes, or none if one does not fit.

    Examples:
      python -m app patch apply pets-patch/patch.json labels.csv
      python -m app patch apply pets-patch /data/copy-of-pets
    """
    from app.commands.lookup import app_context
    from app.services.exports import jobs as exports

    _show_applied(exports.apply_patch(app_context(), patch_file, target), "changed", as_json=as_json)


def revert_(*, patch_file: PatchFile, target: Target, as_json: JsonFlag = False) -> None:
    """Take a patch back where it was applied.

    Examples:
      python -m app patch revert pets-patch/patch.json labels.csv
      python -m app patch revert pets-patch /data/copy-of-pets
    """
    from app.commands.lookup import app_context
    from app.services.exports import jobs as exports

    _show_applied(exports.revert_patch(app_context(), patch_file, target), "taken back", as_json=as_json)


def _show(counts: dict[str, Any], known: dict[str, Any], whole: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        echo_json(whole)
        return
    aside = {"left out": sum(counts["left_out"].values()), "apart": sum(counts["apart"].values())}
    parts = [counted(counts["items"], "image")]
    if "pixels_changed" in counts:
        parts += [f"{counted(counts['changed'], 'mask')} changed in {counted(counts['pixels_changed'], 'pixel')}"]
        parts += [
            f"{counted(sum(counts['by_verdict'].values()), 'region')} decided",
            f"{counted(counts['edited'], 'mask')} edited",
        ]
        nothing, unit = "IGNORE", "pixels"
    else:
        parts.append(f"{counted(counts['changed'], 'label')} changed")
        nothing, unit = "(none)", "labels"
    echo(", ".join(parts + [f"{count:,} {what}" for what, count in aside.items() if count]))
    pairs = [(each["given"] or nothing, each["label"] or nothing, each["count"]) for each in counts["by_pair"][:SHOWN]]
    if pairs:
        echo_table(["from", "to", unit], pairs, numbers=[unit])
    wrong = known["wrong_labels"]
    echo(wrong["text"] if wrong else "Wrong labels: unknown; no round has judged them.")
    for act in known["bulk_acts"]:
        echo(f"accepted in bulk: {act['size']:,} ({act['set']}). {act['text']}")


def _show_applied(applied: "Applied", word: str, *, as_json: bool) -> None:
    if as_json:
        echo_json(applied)
        return
    if applied.already and not applied.changed:
        echo(f"it is applied already, nothing was changed; its {applied.already:,} labels are as it says")
    else:
        before = f", {applied.already:,} were before" if applied.already else ""
        echo(f"{counted(applied.changed, 'label')} {word}{before}")
    if applied.unchecked:
        inform(f"{applied.unchecked:,} of them were found by their path alone: neither hash nor file was there")
    for path in applied.missing[:SHOWN]:
        inform(f"not there: {path}")
    if len(applied.missing) > SHOWN:
        inform(f"and {len(applied.missing) - SHOWN:,} more were not there")


for name, command in {"apply": apply_, "revert": revert_}.items():
    patch.command(name, help=help_of(command))(command)
