"""Form of an export, family of formats first."""

from collections.abc import Mapping

import streamlit as st

from app.services.datasets import DatasetCard
from app.services.exports.jobs import ExportRequest
from core.data.export.items import ExportFormat, ExportOptions, Link, Unsettled, UnusablePolicy
from core.data.masks.items import Per
from core.types import Task

FAMILIES: Mapping[str, tuple[str, Mapping[str, ExportFormat]]] = {
    "Class folders": ("one folder per class, as most training code reads them", {"": ExportFormat.CLASS_FOLDERS}),
    "Table": (
        "every label with its history; the images stay where they are",
        {"CSV": ExportFormat.CSV, "Parquet": ExportFormat.PARQUET},
    ),
    "Hugging Face": (
        "images with metadata that the datasets library reads; in Parquet they are in the table itself",
        {
            "CSV": ExportFormat.HUGGING_FACE,
            "JSON lines": ExportFormat.HUGGING_FACE_JSONL,
            "Parquet": ExportFormat.HUGGING_FACE_PARQUET,
        },
    ),
    "Label Studio": ("tasks with choices and the project's configuration", {"": ExportFormat.LABEL_STUDIO_CHOICES}),
    "Patch": (
        "only the changes: apply them to a copy, or revert them",
        {"JSON": ExportFormat.PATCH, "CSV": ExportFormat.PATCH_CSV},
    ),
}
_WITH_SPLITS = {"Class folders": "one folder per split (`_no_split` for images in none), in each one folder per class"}
MASK_FAMILIES: Mapping[str, tuple[str, Mapping[str, ExportFormat]]] = {
    "Images and masks": ("grey PNG of class ids beside the images", {"": ExportFormat.MASK_PAIRS}),
    "CamVid": ("train, train_labels, ...; masks in the classes' colours", {"": ExportFormat.CAMVID}),
    "Pascal VOC": ("palette PNG and lists of the splits", {"": ExportFormat.VOC}),
    "COCO": ("one JSON file per split, one annotation per connected piece", {"": ExportFormat.COCO}),
    "Label Studio": ("tasks with brush labels and the project's configuration", {"": ExportFormat.LABEL_STUDIO}),
}
_FAMILIES = {Task.CLASSIFICATION: (FAMILIES, "family"), Task.SEGMENTATION: (MASK_FAMILIES, "mask_family")}
TITLES = {
    form: f"{family}, {kind}" if kind else family
    for families in (FAMILIES, MASK_FAMILIES)
    for family, (_, kinds) in families.items()
    for kind, form in kinds.items()
}
PER: Mapping[ExportFormat, Mapping[Per, str]] = {
    ExportFormat.COCO: {Per.USUAL: "Each piece", Per.CLASS: "Each class"},
    ExportFormat.MASK_PAIRS: {Per.USUAL: "None", Per.CLASS: "Each class", Per.PIECE: "Each piece"},
}
PER_LABELS: Mapping[ExportFormat, str] = {
    ExportFormat.COCO: "Annotations",
    ExportFormat.MASK_PAIRS: "Black-and-white masks as well",
}
LINKS: Mapping[Link, str] = {Link.HARD_LINK: "Hard link", Link.COPY: "Copy", Link.SYMLINK: "Symlink"}
LINK_HELP = (
    "A hard link needs no space and shares its bytes with the original: do not edit such an image in place. "
    "A copy is independent. A symlink breaks when the original moves."
)
TREATMENTS: Mapping[UnusablePolicy, str] = {
    UnusablePolicy.LEAVE_OUT: "leave out",
    UnusablePolicy.KEEP_GIVEN: "keep the given label",
    UnusablePolicy.APART: "set apart",
}
REGION_TREATMENTS: Mapping[UnusablePolicy, str] = {
    UnusablePolicy.LEAVE_OUT: "IGNORE",
    UnusablePolicy.KEEP_GIVEN: "keep the given class",
}
UNMASKED_TREATMENTS: Mapping[UnusablePolicy, str] = {
    UnusablePolicy.LEAVE_OUT: "leave out",
    UnusablePolicy.APART: "without a mask",
}


def export_form(card: DatasetCard, key: str, by: str) -> ExportRequest:
    """Draw the form for a dataset and return its values."""
    splits = list(card.split_counts)
    unlabelled = card.images - card.masks if card.masks is not None else card.class_counts.get("", 0)
    families, family_key = _FAMILIES[card.dataset.task]
    in_splits = any(splits)
    captions = [_WITH_SPLITS.get(name, caption) if in_splits else caption for name, (caption, _) in families.items()]
    family = st.radio("Format", list(families), captions=captions, key=f"{key}_{family_key}")
    form = _kind(families[family][1], f"{key}_kind_{family}")
    per = _per(form, f"{key}_per_{form}")
    places_files = form.with_files and not form.embeds
    link, copy_if_needed = _link(f"{key}_link") if places_files else (Link.HARD_LINK, True)
    treatments = _treatments(f"{key}_unsettled", form, with_unlabelled=unlabelled > 0)
    chosen: list[str] = []
    if len(splits) > 1:
        chosen = st.multiselect(
            "Splits", splits, format_func=lambda name: name or "none", placeholder="all of them",
            key=f"{key}_splits",
        )  # fmt: skip
    options = ExportOptions(
        format=form,
        link=link,
        copy_if_needed=copy_if_needed,
        ambiguous=treatments[Unsettled.AMBIGUOUS],
        excluded=treatments[Unsettled.EXCLUDED],
        unlabelled=treatments[Unsettled.UNLABELLED],
        splits=tuple(chosen),
        per=per,
        raw=_raw(form, f"{key}_raw"),
    )
    folder, overwrite = _place(key)
    return ExportRequest(dataset_id=card.dataset.id, options=options, folder=folder, overwrite=overwrite, by=by)


def _kind(kinds: Mapping[str, ExportFormat], key: str) -> ExportFormat:
    if len(kinds) == 1:
        return next(iter(kinds.values()))
    first = next(iter(kinds))
    chosen = st.segmented_control("File", list(kinds), default=first, key=key, width="stretch")
    return kinds[chosen or first]


def _per(form: ExportFormat, key: str) -> Per:
    if form not in PER:
        return Per.USUAL
    chosen = st.segmented_control(
        PER_LABELS[form],
        list(PER[form]),
        default=Per.USUAL,
        format_func=PER[form].__getitem__,
        key=key,
        width="stretch",
    )
    return chosen or Per.USUAL


def _raw(form: ExportFormat, key: str) -> bool:
    if form not in (ExportFormat.CSV, ExportFormat.PATCH_CSV):
        return False
    return st.checkbox(
        "formulas as they are",
        help="Otherwise text that a spreadsheet would run, such as `=cmd()`, is prefixed with an apostrophe.",
        key=key,
    )


def _link(key: str) -> tuple[Link, bool]:
    chosen = st.segmented_control(
        "Images", list(LINKS), default=Link.HARD_LINK, format_func=LINKS.__getitem__, help=LINK_HELP, key=key,
        width="stretch",
    )  # fmt: skip
    link = chosen or Link.HARD_LINK
    if link is not Link.HARD_LINK:
        return link, True
    return link, st.checkbox("copy if a link is impossible (another disk)", value=True, key=f"{key}_copy")


def _treatments(key: str, form: ExportFormat, *, with_unlabelled: bool) -> dict[Unsettled, UnusablePolicy]:
    """Ask for the treatment of images, or of regions, without a usable label."""
    shown = [reason for reason in Unsettled if with_unlabelled or reason is not Unsettled.UNLABELLED]
    found = dict.fromkeys(Unsettled, UnusablePolicy.LEAVE_OUT)
    for column, reason in zip(st.columns(len(shown)), shown, strict=True):
        offered = _treatment_choices(form, reason)
        found[reason] = column.selectbox(
            reason.value.capitalize(), list(offered), format_func=offered.__getitem__,
            key=f"{key}_{reason}_{form.is_patch}_{form.of_masks}",
        )  # fmt: skip
    return found


def _treatment_choices(form: ExportFormat, reason: Unsettled) -> Mapping[UnusablePolicy, str]:
    """Return the possible treatments. A patch can only remove a label or leave it."""
    if form.of_masks:
        return UNMASKED_TREATMENTS if reason is Unsettled.UNLABELLED else REGION_TREATMENTS
    if form.is_patch:
        return {each: name for each, name in TREATMENTS.items() if each is not UnusablePolicy.APART}
    return TREATMENTS


def _place(key: str) -> tuple[str, bool]:
    folder = st.text_input(
        "Folder",
        placeholder="empty: for download",
        help="A new folder on the machine that runs Outfold, never inside a dataset.",
        key=f"{key}_folder",
    ).strip()
    overwrite = st.checkbox("replace an earlier export there", key=f"{key}_overwrite") if folder else False
    return folder, overwrite
