"""Manifest of an export: its source, options and contents, in numbers that can be checked.

It does not depend on the clock or on the export's path, so two exports of one state are the same bytes.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core.data.export.items import ExportPlan, LabelOrigin, Link
from core.data.export.mask_plan import MaskPlan, mask_summary
from core.data.export.names import MANIFEST, FolderNames
from core.data.export.placing import content_hash
from core.types import ExportError

TOOL = "outfold"
KIND = "export"


def summary(plan: ExportPlan) -> dict[str, Any]:
    """Return a summary of the plan: counts by class, by pair of classes, by method and verdict."""
    rows = plan.rows
    given = [row.item.given_in_source if plan.options.format.is_patch else row.item.given for row in rows]
    before, after = Counter(given), Counter(row.label for row in rows)
    pairs = Counter((was, row.label) for was, row in zip(given, rows, strict=True) if was != row.label)
    names = [*plan.source.classes, *sorted({name for name in (*before, *after) if name} - set(plan.source.classes))]
    return {
        "items": len(rows),
        "changed": pairs.total(),
        "apart": {reason.value: n for reason, n in sorted(Counter(r.apart for r in rows if r.apart).items())},
        "left_out": {reason.value: n for reason, n in sorted(plan.left_out.items())},
        "removed": plan.source.removed,
        "by_class": [{"class": name, "given": before[name], "label": after[name]} for name in names],
        "by_pair": [
            {"given": given, "label": label, "count": count}
            for (given, label), count in sorted(pairs.items(), key=lambda each: (-each[1], _order(each[0])))
        ],
        "by_method": dict(sorted(Counter(row.item.method.value for row in rows).items())),
        "by_verdict": dict(sorted(Counter(row.item.verdict for row in rows if row.item.verdict).items())),
        "by_split": dict(sorted(Counter(row.item.split for row in rows).items())),
    }


def manifest(
    plan: ExportPlan | MaskPlan,
    layout: FolderNames,
    placed: Mapping[Link, int],
    tables: Sequence[Path],
    versions: Mapping[str, str],
    *,
    class_to_idx: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """Return the manifest of an export; the first of its `tables` has every image with its content hash.

    `class_to_idx` has the number that programs which read class folders give to each.
    """
    source = plan.source
    dataset = {
        "name": source.name,
        "task": source.task,
        "classes": list(source.classes),
        "evaluation_splits": list(source.evaluation_splits),
    }
    files = {
        "placed": {link.value: count for link, count in sorted(placed.items())},
        "bytes": plan.image_bytes,
        "table_bytes": sum(table.stat().st_size for table in tables),
        "table": tables[0].name,
        "table_hash": content_hash(tables[0]),
    }
    if isinstance(plan, MaskPlan):
        dataset["colours"] = list(plan.table.colours)
        files["tables"] = {table.name: content_hash(table) for table in tables}
    numbered = {"class_to_idx": dict(class_to_idx)} if class_to_idx else {}
    return {
        "tool": TOOL,
        "kind": KIND,
        "versions": dict(sorted(versions.items())),
        "dataset": dataset,
        "rounds": list(source.rounds),
        "options": plan.options.to_json(),
        "layout": layout.to_json(),
        **numbered,
        "counts": plan_counts(plan),
        "known": known_quality(plan),
        "notes": list(source.notes),
        "class_acts": list(source.class_acts),
        "files": files,
    }


def plan_counts(plan: ExportPlan | MaskPlan) -> dict[str, Any]:
    """Return the counts of an export of this plan."""
    return mask_summary(plan) if isinstance(plan, MaskPlan) else summary(plan)


def known_quality(plan: ExportPlan | MaskPlan) -> dict[str, Any]:
    """Return the known quality of the labels, and for each bulk accept the number of its labels in the plan."""
    items = (
        [region for image in plan.images for region in image.regions]
        if isinstance(plan, MaskPlan)
        else [row.item for row in plan.rows]
    )
    counts = Counter(one.changeset for one in items if one.method is LabelOrigin.BULK)
    acts = [act | {"standing": counts[act["changeset"]]} for act in plan.source.bulk_acts]
    return {"wrong_labels": plan.source.wrong_labels, "bulk_acts": acts}


def write_manifest(folder: Path, values: Mapping[str, Any]) -> None:
    """Write the manifest into an export's folder."""
    text = json.dumps(values, ensure_ascii=False, indent=2) + "\n"
    (folder / MANIFEST).write_text(text, encoding="utf-8")


def find_manifest(folder: Path) -> dict[str, Any] | None:
    """Return the manifest of a former export of Outfold in `folder`, None if there is none."""
    try:
        values = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(values, dict) or values.get("tool") != TOOL or values.get("kind") != KIND:
        return None
    return values


def escapes_formulas(values: Mapping[str, Any] | None) -> bool:
    """Return whether the CSV files of the export with this manifest escape formulas; older ones do not."""
    options = values.get("options") if values is not None else None
    return isinstance(options, dict) and "raw" in options


def find_layout(folder: Path) -> FolderNames | None:
    """Return the meaning of the folders of a former export of Outfold, None if it has no class folders.

    Raises:
        ExportError: the manifest is damaged.
    """
    values = find_manifest(folder)
    if values is None:
        return None
    try:
        written = {"splits_apart": {}, **values["layout"]}  # older exports have no folders of their own for them
        parts = {name: {str(k): str(v) for k, v in written[name].items()} for name in FolderNames.__slots__}
    except (KeyError, TypeError, AttributeError) as error:
        raise ExportError(f"{folder / MANIFEST} is damaged ({error!r})", "export again") from error
    layout = FolderNames(**parts)
    return layout if layout.classes or layout.apart else None


def _order(pair: tuple[str | None, str | None]) -> tuple[str, str]:
    return pair[0] or "", pair[1] or ""
