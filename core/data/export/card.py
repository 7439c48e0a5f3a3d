"""README of an export: the dataset card (source and quality of its labels), and instructions for loading it.

The front matter names files, splits and column types for Hugging Face `datasets`: `datasets.load_dataset(folder)`
follows `configs` there. Without it, splits are guessed from every name that contains `test` or `train`, and classes
called `007` or `NA` become numbers or missing values.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from glob import escape
from pathlib import Path
from typing import Any

import yaml

from core.data.export import embedded
from core.data.export.items import ExportFormat, ExportPlan
from core.data.export.layouts import MEANINGFUL, ExportLayout, is_text_in_csv, metadata_name, metadata_tables
from core.data.export.mask_plan import MaskPlan
from core.data.export.mask_writing import MaskExportLayout
from core.data.export.names import LABELS, README, folder_names
from core.data.export.tables import COLUMNS
from core.data.formats.cells import escape_cell
from core.types import counted

_METHODS = {"given": "as given", "person": "decided by people", "bulk": "accepted in bulk"}
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#+!|~&])")
_METHOD = """\
Only verdicts on a random sample show how many labels are right. Each number above states the number of verdicts behind
it, and its interval. "Unknown" means that no such sample was judged. A certificate covers the fixed set that was
accepted, as known at that time. `manifest.json` holds all of this for programs.
"""

_STANDARD = {"val": "validation"}  # name in `datasets`
_WHOLE, _NO_SPLIT = "train", "no_split"  # the split of a dataset without any, and of an image without one
_SHOWN = 3  # names
_HUGGING_FACE = (
    "- Hugging Face: `datasets.load_dataset` of this folder, which follows the lines at the top of this file."
)
_LABEL_STUDIO = "- Label Studio: a project with `label_config.xml` and local storage of this folder takes `tasks.json`."
_MASKS: Mapping[ExportFormat, tuple[str, ...]] = {
    ExportFormat.COCO: (
        "- pycocotools, torchvision, supervision: `annotations/instances_<split>.json` with `images/<split>`.",
        "- datumaro: the format `coco_instances`. Pixels without an annotation are unlabelled (IGNORE).",
    ),
    ExportFormat.VOC: ("- datumaro: the format `voc_segmentation`; its label `ignored` is IGNORE.",),
    ExportFormat.CAMVID: ("- datumaro: the format `camvid`; its last label, `Void`, is IGNORE.",),
    ExportFormat.MASK_PAIRS: (
        "- Masks are grey PNG of the ids in `classes.csv`; IGNORE is 255, of more than 255 classes 65535.",
        "- datumaro: the format `common_semantic_segmentation`, of splits `..._with_subset_dirs`.",
    ),
    ExportFormat.LABEL_STUDIO: (_LABEL_STUDIO,),
}


@dataclass(frozen=True, slots=True)
class Loading:
    """Front matter of a README as plain values, and the lines of its section on loading, as Markdown."""

    front: Mapping[str, Any] = field(default_factory=dict)
    lines: Sequence[str] = ()

    @property
    def front_matter(self) -> str:
        """Return the front matter as the first lines of a README; empty if there is none."""
        if not self.front:
            return ""
        text: str = yaml.safe_dump(dict(self.front), sort_keys=False, allow_unicode=True, width=1000)
        return f"---\n{text}---\n\n"


def write_card(folder: Path, manifest: Mapping[str, Any], loading: Loading) -> None:
    """Write the card of an export with this manifest into its folder."""
    (folder / README).write_text(card(manifest, loading), encoding="utf-8")


def card(manifest: Mapping[str, Any], loading: Loading | None = None) -> str:
    """Return the dataset card as Markdown; names from outside are escaped."""
    loading = loading or Loading()
    dataset, counts, known = manifest["dataset"], manifest["counts"], manifest["known"]
    of_masks = "pixels_changed" in counts
    versions = ", ".join(f"{name} {number}" for name, number in manifest["versions"].items())
    changed = f"{counts['changed']:,} {'masks' if of_masks else 'labels'} differ from the given ones"
    classes = counted(len(dataset["classes"]), "class", "classes")
    lines = [
        f"# {_plain(dataset['name'])}",
        "",
        f"{counted(counts['items'], 'image')}, {classes}; {changed}. Exported by {versions}.",
        "",
        "## Labels",
        "",
        f"| {'regions' if of_masks else 'labels'} | number |",
        "|---|---|",
        *(f"| {_METHODS[method]} | {count:,} |" for method, count in counts["by_method"].items()),
        *(f"| {reason}, left out | {count:,} |" for reason, count in counts["left_out"].items()),
    ]
    if removed := counts.get("removed"):
        lines += ["", f"{removed:,} {'image was' if removed == 1 else 'images were'} removed from the dataset."]
    if dataset["evaluation_splits"]:
        lines += ["", f"For evaluation only: {', '.join(map(_plain, dataset['evaluation_splits']))}."]
    wrong = known["wrong_labels"]
    lines += [
        "",
        "## Label quality",
        "",
        wrong["text"] if wrong else "Wrong labels: unknown; no round has judged them.",
    ]
    if known["bulk_acts"]:
        lines += ["", "Accepted in bulk:", "", *map(_act_line, known["bulk_acts"])]
    if loading.lines:
        lines += ["", "## Loading", "", *loading.lines]
    return loading.front_matter + "\n".join([*lines, "", _METHOD])


def _act_line(act: Mapping[str, Any]) -> str:
    day = act["decided_at"][:10]
    what = f"{act['size']:,} ({_plain(act['set'])}; round {act['round']}, {_plain(act['annotator'])}, {day})"
    rest = f" {act['standing']:,} of them are in this export." if act["standing"] != act["size"] else ""
    return f"- {what}: {_plain(act['text'])}{rest}"


def _plain(text: str) -> str:
    """Return text escaped for Markdown, on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def loading_instructions(laid: ExportLayout | MaskExportLayout) -> Loading:
    """Return the instructions for loading this export."""
    if isinstance(laid, MaskExportLayout):
        return Loading(lines=_MASKS.get(laid.plan.options.format, ()))
    loader = _LOADERS.get(laid.plan.options.format)
    return loader(laid) if loader and laid.plan.rows else Loading()


def class_to_idx(laid: ExportLayout) -> dict[str, int]:
    """Return the index of each class folder in torchvision's `ImageFolder` and in `datasets`: its rank by name."""
    return {folder: number for number, folder in enumerate(sorted(laid.layout.classes))}


def class_name_notes(plan: ExportPlan | MaskPlan) -> tuple[str, ...]:
    """Return notes on class names that an export spells differently, or that other programs misread.

    Programs that guess types read `007` as a number and `NA` as missing; spreadsheets run `=1+1`; `a/b` is a path.
    """
    if isinstance(plan, MaskPlan):
        return ()
    form, raw = plan.options.format, plan.options.raw
    used = {row.label for row in plan.rows}
    names = [name for name in _names_of(plan) if name in used]
    if form is ExportFormat.CLASS_FOLDERS:
        folders = folder_names(_names_of(plan), reserved=MEANINGFUL)
        renamed = [f"{name} as {folders[name]}" for name in names if name != folders[name]]
        line = f"Names that are not folders on every disk, or mean a split, become others: {_some(renamed)}"
        return (line,) if renamed else ()
    guessed = [name for name in names if not is_text_in_csv(name)]
    if form is ExportFormat.HUGGING_FACE and guessed:
        return (f"metadata.jsonl is written instead of CSV, which cannot hold {_some(guessed)} as text",)
    if form not in (ExportFormat.CSV, ExportFormat.PATCH_CSV) or not guessed:
        return ()
    changed = [escape_cell(name, raw=raw) for name in guessed if escape_cell(name, raw=raw) != name]
    lines = (f"Programs that guess types do not read {_some(guessed)} as text; the README says how they do",)
    return (*lines, f"Formulas have an apostrophe before them: {_some(changed)}") if changed else lines


def _some(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more:,} more" if more > 0 else "")


def _names_of(plan: ExportPlan) -> list[str]:
    """Return the classes in the dataset's order, then other labels."""
    classes = plan.source.classes
    return [*classes, *sorted({row.label for row in plan.rows if row.label is not None} - set(classes))]


def _class_folders(laid: ExportLayout) -> Loading:
    if not laid.layout.classes:
        return Loading()
    folders = sorted(laid.layout.classes)
    used = {file.partition("/")[0] for row, file in zip(laid.plan.rows, laid.files, strict=True) if not row.apart}
    splits = {folder: split for folder, split in laid.layout.splits.items() if folder in used}
    files = _files({folder: [f"{escape(folder)}/**"] for folder in splits}, splits)
    front = _front(files or {_WHOLE: [f"{escape(folder)}/**" for folder in folders]}, [_image(), _label(folders)])
    front["configs"][0]["drop_labels"] = False  # also with a single class
    roots = ", ".join(f'`ImageFolder("{folder}")`' for folder in splits) or "`ImageFolder` of this folder"
    lines = (
        _HUGGING_FACE,
        f"- torchvision: {roots}.",
        "- Both number the class folders by name; `class_to_idx` in `manifest.json` has these numbers.",
    )
    return Loading(front, lines)


def _metadata(laid: ExportLayout) -> Loading:
    name, homes = metadata_name(laid), sorted(metadata_tables(laid))
    if homes == [""]:
        folders = sorted({file.partition("/")[0] for file in laid.files})
        files = {_WHOLE: [name, *(f"{escape(folder)}/**" for folder in folders)]}
    else:
        files = _files({home: [f"{escape(home)}/**"] for home in homes}, laid.layout.splits)
    whole = "int64" if name.endswith(".jsonl") else "float64"  # an empty cell of CSV cannot be read as an integer
    features = [_image(), *_features(COLUMNS[1:], _names_of(laid.plan), whole)]
    return Loading(_front(files, features), (_HUGGING_FACE,))


def _csv(laid: ExportLayout) -> Loading:
    labels = [escape_cell(name, raw=laid.plan.options.raw) for name in _names_of(laid.plan)]
    front = _front({_WHOLE: [LABELS]}, _features(COLUMNS, labels, "float64"))
    front["configs"][0] |= {"keep_default_na": False, "na_values": [""]}
    call = f'pandas.read_csv("{LABELS}", dtype={{"label": str}}, keep_default_na=False, na_values=[""])'
    return Loading(front, (f"- pandas: `{call}`.", _HUGGING_FACE))


def _parquet(_: ExportLayout) -> Loading:
    lines = ('- pandas: `pandas.read_parquet("labels.parquet")`.', _HUGGING_FACE)
    return Loading(_front({_WHOLE: ["labels.parquet"]}), lines)


def _embedded(laid: ExportLayout) -> Loading:
    titles = embedded.split_titles(row.item.split for row in laid.plan.rows).values()
    return Loading(_front({title: [f"{embedded.FOLDER}/{title}-*.parquet"] for title in titles}), (_HUGGING_FACE,))


def _choices(_: ExportLayout) -> Loading:
    return Loading(lines=(_LABEL_STUDIO,))


_LOADERS: Mapping[ExportFormat, Callable[[ExportLayout], Loading]] = {
    ExportFormat.CLASS_FOLDERS: _class_folders,
    ExportFormat.HUGGING_FACE: _metadata,
    ExportFormat.HUGGING_FACE_JSONL: _metadata,
    ExportFormat.HUGGING_FACE_PARQUET: _embedded,
    ExportFormat.CSV: _csv,
    ExportFormat.PARQUET: _parquet,
    ExportFormat.LABEL_STUDIO_CHOICES: _choices,
}


def _front(files: Mapping[str, Sequence[str]], features: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """Return the front matter with the files of each split, and the types of columns that must not be guessed."""
    found = [{"split": split, "path": list(paths)} for split, paths in files.items()]
    config: dict[str, Any] = {"config_name": "default", "data_files": found}
    return {"configs": [config | ({"features": list(features)} if features else {})]}


def _files(paths: Mapping[str, list[str]], splits: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the files of each split, by a name that `datasets` accepts: letters, digits and underscores."""
    found: dict[str, list[str]] = {}
    for folder, own in paths.items():
        split = splits[folder] or (_NO_SPLIT if len(splits) > 1 else _WHOLE)
        wanted = name = _STANDARD.get(split) or re.sub(r"\W", "_", split)
        number = 1
        while name in found:
            number += 1
            name = f"{wanted}_{number}"
        found[name] = own
    return found


def _features(columns: Sequence[str], classes: Sequence[str], whole: str) -> list[dict[str, Any]]:
    types = {"round": whole, "confidence": "float64", "changeset": whole}
    return [
        _label(classes) if name == "label" else {"name": name, "dtype": types.get(name, "string")} for name in columns
    ]


def _image() -> dict[str, Any]:
    return {"name": "image", "dtype": "image"}


def _label(names: Sequence[str]) -> dict[str, Any]:
    return {"name": "label", "dtype": {"class_label": {"names": {str(at): name for at, name in enumerate(names)}}}}
