"""How other programs load an export: the front matter of its README for Hugging Face `datasets`, and a note for people.

`datasets.load_dataset(folder)` follows `configs` there. Without it, splits are guessed from every name that contains
`test` or `train`, and classes called `007` or `NA` become numbers or missing values.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from glob import escape
from typing import Any

import yaml

from core.data.export.items import ExportFormat, Plan
from core.data.export.layouts import MEANINGFUL, LaidOut, csv_spells, metadata_name, metadata_tables
from core.data.export.mask_plan import MaskPlan
from core.data.export.mask_writing import LaidOutMasks
from core.data.export.names import LABELS, folder_names
from core.data.export.tables import COLUMNS
from core.data.formats.cells import escaped

_STANDARD = {"val": "validation"}  # as `datasets` calls it
_WHOLE, _NO_SPLIT = "train", "no_split"  # the split of a dataset without any, and of an image without one
_SHOWN = 3  # names
_HUGGING_FACE = (
    "- Hugging Face: `datasets.load_dataset` of this folder, which follows the lines at the top of this file."
)
_LABEL_STUDIO = "- Label Studio: a project with `label_config.xml` and local storage of this folder takes `tasks.json`."


@dataclass(frozen=True, slots=True)
class Loading:
    """Front matter of a README as plain values, and the lines of its section on loading, as Markdown."""

    front: Mapping[str, Any] = field(default_factory=dict)
    lines: Sequence[str] = ()

    @property
    def front_matter(self) -> str:
        """Return the front matter as the first lines of a README; nothing where there is none."""
        if not self.front:
            return ""
        text: str = yaml.safe_dump(dict(self.front), sort_keys=False, allow_unicode=True, width=1000)
        return f"---\n{text}---\n\n"


def loading_of(laid: LaidOut | LaidOutMasks) -> Loading:
    """Return how this export is loaded."""
    if isinstance(laid, LaidOutMasks):
        return Loading(lines=_MASKS.get(laid.plan.options.format, ()))
    loader = _LOADERS.get(laid.plan.options.format)
    return loader(laid) if loader and laid.plan.rows else Loading()


def class_to_idx(laid: LaidOut) -> dict[str, int]:
    """Return the number of each class folder for torchvision's `ImageFolder` and for `datasets`: its place by name."""
    return {folder: number for number, folder in enumerate(sorted(laid.layout.classes))}


def notes_of(plan: Plan | MaskPlan) -> tuple[str, ...]:
    """Return what to tell of class names that are spelt otherwise in an export, or read otherwise by other programs.

    Programs that guess types take `007` for a number and `NA` for nothing; spreadsheets run `=1+1`; `a/b` is no folder.
    """
    if isinstance(plan, MaskPlan):
        return ()
    form, raw = plan.options.format, plan.options.raw
    used = {row.label for row in plan.rows}
    names = [name for name in _names_of(plan) if name in used]
    if form is ExportFormat.CLASS_FOLDERS:
        folders = folder_names(_names_of(plan), reserved=MEANINGFUL)
        renamed = [f"{name} as {folders[name]}" for name in names if name != folders[name]]
        said = f"Names that are no folders on every disk, or mean a split, become others: {_some(renamed)}"
        return (said,) if renamed else ()
    guessed = [name for name in names if not csv_spells(name)]
    if form is ExportFormat.HUGGING_FACE and guessed:
        return (f"metadata.jsonl is written instead of CSV, which cannot hold {_some(guessed)} as text",)
    if form not in (ExportFormat.CSV, ExportFormat.PATCH_CSV) or not guessed:
        return ()
    changed = [escaped(name, raw=raw) for name in guessed if escaped(name, raw=raw) != name]
    told = (f"Programs that guess types do not read {_some(guessed)} as text; the README says how they do",)
    return (*told, f"Formulas have an apostrophe before them: {_some(changed)}") if changed else told


def _some(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more:,} more" if more > 0 else "")


def _names_of(plan: Plan) -> list[str]:
    """Return the classes in the dataset's order, then other labels."""
    classes = plan.source.classes
    return [*classes, *sorted({row.label for row in plan.rows if row.label is not None} - set(classes))]


def _class_folders(laid: LaidOut) -> Loading:
    if not laid.layout.classes:
        return Loading()
    folders = sorted(laid.layout.classes)
    used = {file.partition("/")[0] for row, file in zip(laid.plan.rows, laid.files, strict=True) if not row.apart}
    splits = {folder: split for folder, split in laid.layout.splits.items() if folder in used}
    files = _files({folder: [f"{escape(folder)}/**"] for folder in splits}, splits)
    front = _front(files or {_WHOLE: [f"{escape(folder)}/**" for folder in folders]}, [_image(), _label(folders)])
    front["configs"][0]["drop_labels"] = False  # also where there is one class alone
    roots = ", ".join(f'`ImageFolder("{folder}")`' for folder in splits) or "`ImageFolder` of this folder"
    lines = (
        _HUGGING_FACE,
        f"- torchvision: {roots}.",
        "- Both number the class folders by name; `class_to_idx` in `manifest.json` has these numbers.",
    )
    return Loading(front, lines)


def _metadata(laid: LaidOut) -> Loading:
    name, homes = metadata_name(laid), sorted(metadata_tables(laid))
    if homes == [""]:
        folders = sorted({file.partition("/")[0] for file in laid.files})
        files = {_WHOLE: [name, *(f"{escape(folder)}/**" for folder in folders)]}
    else:
        files = _files({home: [f"{escape(home)}/**"] for home in homes}, laid.layout.splits)
    whole = "int64" if name.endswith(".jsonl") else "float64"  # a missing one of CSV cannot be read as a whole number
    features = [_image(), *_features(COLUMNS[1:], _names_of(laid.plan), whole)]
    return Loading(_front(files, features), (_HUGGING_FACE,))


def _csv(laid: LaidOut) -> Loading:
    labels = [escaped(name, raw=laid.plan.options.raw) for name in _names_of(laid.plan)]
    front = _front({_WHOLE: [LABELS]}, _features(COLUMNS, labels, "float64"))
    front["configs"][0] |= {"keep_default_na": False, "na_values": [""]}
    said = f'pandas.read_csv("{LABELS}", dtype={{"label": str}}, keep_default_na=False, na_values=[""])'
    return Loading(front, (f"- pandas: `{said}`.", _HUGGING_FACE))


def _parquet(_: LaidOut) -> Loading:
    lines = ('- pandas: `pandas.read_parquet("labels.parquet")`.', _HUGGING_FACE)
    return Loading(_front({_WHOLE: ["labels.parquet"]}), lines)


def _embedded(_: LaidOut) -> Loading:
    return Loading(lines=("- Hugging Face: `datasets.load_dataset` of this folder; class names are in the files.",))


def _choices(_: LaidOut) -> Loading:
    return Loading(lines=(_LABEL_STUDIO,))


_LOADERS: Mapping[ExportFormat, Callable[[LaidOut], Loading]] = {
    ExportFormat.CLASS_FOLDERS: _class_folders,
    ExportFormat.HUGGING_FACE: _metadata,
    ExportFormat.HUGGING_FACE_JSONL: _metadata,
    ExportFormat.CSV: _csv,
    ExportFormat.PARQUET: _parquet,
    ExportFormat.HUGGING_FACE_PARQUET: _embedded,
    ExportFormat.LABEL_STUDIO_CHOICES: _choices,
}
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


def _front(files: Mapping[str, Sequence[str]], features: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """Return the front matter for the files of each split, and the columns where their types are not to be guessed."""
    found = [{"split": split, "path": list(paths)} for split, paths in files.items()]
    config: dict[str, Any] = {"config_name": "default", "data_files": found}
    return {"configs": [config | ({"features": list(features)} if features else {})]}


def _files(paths: Mapping[str, list[str]], splits: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the files of each split, by a name of letters, digits and underscores as `datasets` takes it."""
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
