"""`import`: bring a folder or table in as a dataset."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.commands.console import (
    DatasetName,
    JsonFlag,
    echo,
    echo_json,
    echo_table,
    fail,
    inform,
    progress_bar,
    shell_quote,
)
from core.data.formats.source import SourceFormat
from core.types import counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from app.services.app_context import AppContext
    from app.services.imports.jobs import GoneClass, ImportPreview, ImportRequest
    from core.data.formats.source import Answer, Question
    from core.types import ClassTable

SHOWN = 20  # problems of a dry run
CLASSES_SHOWN = 60  # in a table; beyond that only those present in a mask
FIRST = 5  # problems of an import that failed


def import_(
    *,
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE",
            help="A folder of images and labels or masks, a table or JSON file of them, a zip or tar; or one of these "
            "in a bucket, as s3://bucket/pets.",
        ),
    ],
    name: Annotated[str, typer.Option(help="The dataset's name; default: the folder's.")] = "",
    form: Annotated[
        str,
        typer.Option("--format", help=f"{', '.join(SourceFormat)}; default: recognised."),
    ] = "",
    path_column: Annotated[str, typer.Option(help="Column of a table with the image's path.")] = "",
    label_column: Annotated[str, typer.Option(help="Column of a table with the label.")] = "",
    split_column: Annotated[str, typer.Option(help="Column of a table with the split.")] = "",
    group_column: Annotated[str, typer.Option(help="Column of a table with the group.")] = "",
    image_root: Annotated[
        str, typer.Option(help="Folder of the images, if the table has paths of another machine.")
    ] = "",
    class_level: Annotated[
        int,
        typer.Option(min=0, max=9, help="For class folders in folders: the level of the class, 1 for the top."),
    ] = 0,
    literal_labels: Annotated[
        bool, typer.Option("--literal-labels", help="Labels as written: NA, None and nan are classes, 1.0 is not 1.")
    ] = False,
    merge_class: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=CLASS", help="The source's name NAME means CLASS, as in Cat=cat."),
    ] = None,
    colour_map: Annotated[
        str,
        typer.Option(help="For masks in colours: camvid-exact-11, camvid-merged-11, or a file of `r g b name` lines."),
    ] = "",
    class_names: Annotated[str, typer.Option(help="For masks of ids: a file of names, one per line, or a,b,c.")] = "",
    ignore_id: Annotated[
        int | None, typer.Option(min=0, max=65535, help="For masks of ids: the value of unlabelled pixels.")
    ] = None,
    first_id: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="For masks of ids: the id of the first name; lower ids have no class."),
    ] = None,
    unnamed_ids: Annotated[
        str, typer.Option(help="For masks of ids: ignore the ids without a name, or make each a class.")
    ] = "",
    threshold_masks: Annotated[
        str,
        typer.Option(help="For smoothed black and white masks: ignore the greys between, half (cut at 128), or off."),
    ] = "",
    float_masks: Annotated[str, typer.Option(help="For floating-point masks: ids, if they are whole numbers.")] = "",
    unknown_colours: Annotated[
        str,
        typer.Option(help="For masks in colours: ignore the pixels of colours without a class, or refuse the masks."),
    ] = "",
    exif_masks: Annotated[
        str, typer.Option(help="For photos that their EXIF turns: turn their masks too, or keep them as they are.")
    ] = "",
    boxes: Annotated[
        str, typer.Option(help="For COCO annotations without a shape: ignore the pixels of the box, or skip them.")
    ] = "",
    window: Annotated[
        str,
        typer.Option(
            metavar="LOW-HIGH",
            help="Greys of 10 to 16 bits that become black and white, as in 0-4095, or full; default: found.",
        ),
    ] = "",
    allow_outside_links: Annotated[
        bool, typer.Option("--allow-outside-links", help="Follow links that leave the folder.")
    ] = False,
    unlabelled: Annotated[
        bool, typer.Option("--unlabelled", help="The images are unlabelled: add them to the dataset --name names.")
    ] = False,
    rename_class: Annotated[
        list[str] | None,
        typer.Option(metavar="OLD=NEW", help="The class OLD of the dataset is called NEW in the source now."),
    ] = None,
    keep_class: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="The class stays, although the source lost its images.")
    ] = None,
    forget_answers: Annotated[
        bool, typer.Option("--forget-answers", help="Forget the answers of earlier imports of the dataset.")
    ] = False,
    take_masks: Annotated[
        bool,
        typer.Option("--take-masks", help="Make masks corrected elsewhere your edits; undo reverts them."),
    ] = False,
    bring_back: Annotated[
        bool, typer.Option("--bring-back", help="Images that people removed from the dataset come back.")
    ] = False,
    by: Annotated[str, typer.Option(help="Name for the edits and second opinions that it adds.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only look: classes, counts, problems.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Import images and their labels or masks. Originals are read in place and never changed.

    Importing again under the same name adds new images and lists moved and vanished ones; verdicts stay, also of moved
    or renamed images, which are recognised by their content.

    Examples:
      python -m app import /data/pets
      python -m app import /data/pets --name pets --dry-run
      python -m app import pets.zip
      python -m app import s3://bucket/pets
      python -m app import labels.csv --name pets --label-column breed
      python -m app import labels.csv --name pets --image-root /data/pets --merge-class Cat=cat
      python -m app import /data/street --colour-map camvid-merged-11
      python -m app import /data/cells --format mask-pairs --class-names background,cell --ignore-id 255
      python -m app import annotations.json --format coco --dry-run
      python -m app import /data/scenes --class-names names.txt --first-id 1
      python -m app import /data/new --name pets --unlabelled
      python -m app import /data/pets --rename-class cat=kitten
      python -m app import /data/scenes --take-masks --by ada
    """
    from app.commands.lookup import app_context, person
    from app.services.imports import buckets, jobs as imports, sources
    from app.services.imports.jobs import ImportRequest
    from core.data.formats.archive import is_archive, is_archive_name
    from core.types import DatasetError

    opened = app_context()
    name = name or imports.propose_name(source.absolute())
    bucket = buckets.find_bucket(opened, str(source))
    if bucket is not None and is_archive_name(source.name):
        with buckets.fetched_archive(opened, bucket) as archive:
            source = sources.store_archive(opened, archive)
    elif is_archive(source):
        source = sources.store_archive(opened, source)
    try:
        chosen = SourceFormat.UNLABELLED if unlabelled else SourceFormat(form) if form else None
    except ValueError:
        raise DatasetError(f"there is no format {form}", f"there are {', '.join(SourceFormat)}") from None
    request = ImportRequest(
        name=name,
        source=_url_of(opened, source) or str(source.absolute()),
        format=chosen,
        path_column=path_column,
        label_column=label_column,
        split_column=split_column,
        group_column=group_column,
        image_root=_root_of_images(opened, image_root),
        class_level=class_level,
        literal_labels=literal_labels,
        merged_classes=tuple(merge_class or ()),
        colour_map=_absolute(colour_map),
        class_names=_absolute(class_names),
        ignore_id=ignore_id,
        first_id=first_id,
        unnamed_ids=unnamed_ids,
        threshold_masks=threshold_masks,
        float_masks=float_masks,
        unknown_colours=unknown_colours,
        exif_masks=exif_masks,
        boxes=boxes,
        window=window,
        allow_outside_links=allow_outside_links,
        unlabelled=unlabelled,
        renamed_classes=tuple(rename_class or ()),
        kept_classes=tuple(keep_class or ()),
        forget_answers=forget_answers,
        take_masks=take_masks,
        bring_back=bring_back,
        by=person(by) if take_masks else by,
    )
    if dry_run:
        _show_preview(imports.preview(opened, request), request.name, as_json=as_json)
        return
    _import(opened, request, as_json=as_json)


def move(
    *,
    dataset: DatasetName,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="New folder or table of the dataset.")],
    image_root: Annotated[str, typer.Option(help="New folder of the images, if they were in an --image-root.")] = "",
    as_json: JsonFlag = False,
) -> None:
    """Move a dataset to the new folder of its images, and import them from there; decisions, tags and masks stay.

    Images are recognised by their content. Images that are not in FOLDER are listed as vanished.

    Examples:
      python -m app datasets move pets /mnt/pets
    """
    from app.commands.lookup import app_context, get_dataset
    from app.services.imports import jobs as imports

    opened = app_context()
    info = get_dataset(opened, dataset)
    place = _url_of(opened, folder) or str(folder.absolute())
    request = replace(imports.move_request(opened, info.id, folder), source=place)
    if image_root:
        request = replace(request, image_root=_root_of_images(opened, image_root))
    _import(opened, request, as_json=as_json)


def _import(opened: "AppContext", request: "ImportRequest", *, as_json: bool) -> None:
    """Run an import to its end and print its result."""
    from app.commands.jobs import run_job
    from app.services import jobs
    from app.services.imports import jobs as imports
    from core.types import JobStatus

    import_id = imports.add_import(opened, request)
    try:
        with progress_bar("looking for images", quiet=as_json) as step:
            done = run_job(
                opened,
                step,
                here=lambda: imports.run_import(opened, import_id, step),
                hand_over=lambda: jobs.enqueue_import(opened, import_id),
                look=lambda: imports.get_import(opened, import_id),
            )
    except KeyboardInterrupt:
        imports.end_import(opened, import_id)  # a worker that runs it sees this and stores nothing
        raise
    if done.status is not JobStatus.DONE:
        for each in imports.problems(opened, import_id, limit=FIRST):
            inform(f"{each.severity}: {each.path}: {each.message}; cure: {each.cure}")
        for gone in imports.gone_classes(done):
            inform(f"{gone.name}: {_class_options(gone)}")
        for question in imports.open_questions(done):
            inform(f"question: {_question_text(question)}")
        fail(done.message)
    if as_json:
        echo_json({"import": import_id, "dataset": done.dataset_id, "name": request.name, "report": done.report})
        return
    report = done.report or {}
    classes = counted(sum(name != "" for name in report.get("classes", {})), "class", "classes")
    masks = f", {report['masks']:,} of them with a mask" if "masks" in report else ""
    echo(f"{request.name}: {counted(report.get('images', done.done), 'image')} in {classes}{masks}")
    if report.get("pixels"):
        total = max(sum(report["pixels"].values()), 1)
        every = len(report["pixels"]) <= CLASSES_SHOWN
        counts = [
            (name or "(unlabelled)", report["classes"].get(name, "") if name else "", f"{pixels / total:.1%}")
            for name, pixels in report["pixels"].items()
            if pixels or every
        ]
        echo_table(["class", "images", "pixels"], counts, numbers=["images", "pixels"])
        if len(counts) < len(report["pixels"]):
            echo(f"and {counted(len(report['pixels']) - len(counts), 'class', 'classes')} without a pixel")
    _report_differing(report.get("annotators_differ", 0))
    if removed := report.get("stays_removed"):
        inform(f"{removed:,} {'image' if removed == 1 else 'images'} removed by hand stay removed, unless --bring-back")
    _report_corrected(report.get("mended", {}))
    _report_problems(imports.problem_counts(opened, import_id), request.name)
    inform(f"next: {_next_command(opened, done.dataset_id, shell_quote(request.name))}")


def _next_command(opened: "AppContext", dataset_id: int | None, name: str) -> str:
    """Return the command to run after an import: `label` without labels, because a round needs some."""
    from app.services.rounds.labelling import labelling_state

    if dataset_id is not None and labelling_state(opened, dataset_id).is_bare:
        return f"python -m app label {name} --class NAME --class ANOTHER"
    return f"python -m app round {name}"


def _report_differing(count: int) -> None:
    """Print the number of images whose annotators differ."""
    if count:
        inform(f"{count:,} images whose annotators disagree: they await a second opinion after the next round")


def _report_corrected(counts: "dict[str, int]") -> None:
    """Print the number of masks in the source that differ from those in the dataset."""
    if counts.get("taken"):
        inform(f"{counts['taken']:,} images corrected elsewhere: their masks are your edits now; undo reverts them")
    if counts.get("open"):
        inform(f"{counts['open']:,} images have other masks in the source than here; take these with --take-masks")
    if counts.get("left"):
        inform(f"{counts['left']:,} images with other masks in the source were decided on here, and left as they are")


def _url_of(opened: "AppContext", named: Path) -> str:
    """Return the URL of a bucket, whose slashes a path collapses; "" for a local path."""
    from app.services.imports.buckets import find_bucket

    bucket = find_bucket(opened, str(named))
    return "" if bucket is None else bucket.url


def _root_of_images(opened: "AppContext", named: str) -> str:
    return _url_of(opened, Path(named)) or str(Path(named).resolve()) if named else ""


def _absolute(text: str) -> str:
    """Return the absolute path of a file, since the import may run in another folder; other text unchanged."""
    return str(Path(text).absolute()) if text and Path(text).is_file() else text


def _show_preview(seen: "ImportPreview", name: str, *, as_json: bool) -> None:
    classes = {label or "(no label)": count for label, count in seen.class_counts.items()}
    if as_json:
        echo_json(
            {
                "name": name,
                "format": seen.format,
                "why": seen.detection.why if seen.detection else "chosen",
                "images": seen.images,
                "complete": seen.complete,
                "classes": classes,
                "masks": seen.masks,
                "colours": dict(zip(seen.table.names, seen.table.colours, strict=True)) if seen.table else None,
                "shares": seen.shares,
                "meaning": seen.meaning.decisions,
                "remembered": seen.remembered,
                "questions": [_question(each) for each in seen.meaning.questions],
                "splits": seen.split_counts,
                "annotators_differ": seen.annotators_differ,
                "window": seen.window,
                "problems": seen.problems,
            }
        )
        return
    why = f" ({seen.detection.why})" if seen.detection else ""
    if seen.remembered:
        inform(f"as in earlier imports: {_as_options(seen.remembered)}; --forget-answers reads it anew")
    echo(f"{name}: {counted(seen.images, 'image')}{'' if seen.complete else ' or more'} as {seen.format}{why}")
    if seen.table is None:
        echo_table(["class", "images"], classes.items(), numbers=["images"])
    else:
        echo(f"{seen.masks:,} of them with a mask")
        echo_table(["split", "images"], seen.split_counts.items(), numbers=["images"])
        _show_masks(seen, seen.table)
    _report_differing(seen.annotators_differ)
    for each in seen.problems[:SHOWN]:
        inform(f"{each.severity}: {each.path}: {each.message}; cure: {each.cure}")


def _as_options(remembered: "Mapping[str, Any]") -> str:
    """Return fields of a request as options of the command."""
    parts = []
    for option, value in remembered.items():
        flag = "--merge-class" if option == "merged_classes" else f"--{option.replace('_', '-')}"
        parts += [f"{flag} {shell_quote(str(one))}" for one in (value if isinstance(value, list | tuple) else [value])]
    return " ".join(parts)


def _show_masks(seen: "ImportPreview", table: "ClassTable") -> None:
    """Print the classes, the meaning of each value, and the open questions."""
    shares = seen.shares
    listed = table.names[:CLASSES_SHOWN] if shares is None else shares.listed(table.names, CLASSES_SHOWN)
    colours = dict(zip(table.names, table.colours, strict=True))
    rows: list[tuple[str, str, int | str, str]] = [
        (name, colours[name], shares.images[name] if shares else "", f"{shares.pixels[name]:.1%}" if shares else "")
        for name in listed
    ]
    if shares is not None:
        rows.append(("(unlabelled)", "", "", f"{shares.unlabelled:.1%}"))
        left = f", {shares.left_out:,} of them left out" if shares.left_out else ""
        echo(f"counted in {counted(shares.read, 'mask')}{left}:")
    echo_table(["class", "colour", "masks", "pixels"], rows, numbers=["masks", "pixels"])
    if len(listed) < len(table):
        echo(f"and {len(table) - len(listed):,} more classes")
    if seen.meaning.decisions:
        meanings = [
            (
                each.value,
                "(no class)" if each.name is None else each.name or "(unlabelled)",
                each.how,
                "" if each.pixels is None else f"{each.pixels:.1%}",
            )
            for each in seen.meaning.decisions
        ]
        echo_table(["value", "means", "ground", "pixels"], meanings, numbers=["pixels"])
    for question in seen.meaning.questions:
        inform(f"{'question' if question.blocking else 'note'}: {_question_text(question)}")


def _class_options(gone: "GoneClass") -> str:
    """Return the options that answer the question about a class."""
    renamed = f"--rename-class {shell_quote(f'{gone.name}={gone.now}')} if it is the same class, or "
    return f"{renamed if gone.renamed else ''}--keep-class {shell_quote(gone.name)} if it stays a class"


def _question_text(question: "Question") -> str:
    """Return a question with the options that answer it."""
    flags = "; ".join(f"{_flag(answer)} ({answer.text})" for answer in question.answers)
    return f"{question.text} Answer with {flags}"


def _flag(answer: "Answer") -> str:
    return f"--{answer.option.replace('_', '-')} {answer.value}"


def _question(question: "Question") -> dict[str, Any]:
    options = {_flag(answer): answer.text for answer in question.answers}
    return {"kind": question.kind, "text": question.text, "blocking": question.blocking, "answers": options}


def _report_problems(counts: "Sequence[tuple[str, str, int]]", name: str) -> None:
    for severity, kind, count in counts:
        inform(f"{severity}: {count:,} x {kind}")
    if counts:
        inform(f"see them with: python -m app datasets problems {shell_quote(name)}")
