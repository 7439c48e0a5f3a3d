"""The dataset card of an export: a README that says where its labels come from and what is known of their quality."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.data.export.loading import Loading
from core.data.export.names import README

_METHODS = {"given": "as given", "person": "decided by people", "bulk": "accepted in bulk"}
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#+!|~&])")
_METHOD = """\
Only verdicts on a random sample tell how many labels are right. A number above rests on as many as it names, and stands
beside its interval. "Unknown" means that no such sample was judged. A certificate speaks of the fixed set that was
accepted, as it was known when that happened. `manifest.json` holds all of this for programs.
"""


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
    lines = [
        f"# {_plain(dataset['name'])}",
        "",
        f"{counts['items']:,} images, {len(dataset['classes']):,} classes; {changed}. Exported by {versions}.",
        "",
        "## Labels",
        "",
        f"| {'regions' if of_masks else 'labels'} | number |",
        "|---|---|",
        *(f"| {_METHODS[method]} | {count:,} |" for method, count in counts["by_method"].items()),
        *(f"| {reason}, left out | {count:,} |" for reason, count in counts["left_out"].items()),
    ]
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
    """Return text that Markdown shows as it is, on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))
