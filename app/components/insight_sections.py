"""Sections of the Insight page: choice of the round, figures by class, recipe results, networks, images."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any
from urllib.parse import urlencode

import pandas as pd
import streamlit as st

from app.components.charts import calibration_chart, confusion_chart
from app.components.links import queue_of, review_address
from app.components.measures import Words
from app.components.picker import pick
from app.services.rounds.jobs import RoundInfo
from app.services.rounds.networks import RoundNetworks
from core.config.iterated import LABELS_ALONE
from core.types import counted

_ADDRESS = {"dataset", "round"}  # the parameters of this page
_STAGES = {
    "baseline": ("Masks alone", "without tags"),
    "baseline_tagged": ("Masks alone", "under the tags"),
    "hybrid": ("HybridNet", "under the tags"),
    "pseudo": ("PseudoNet", "under the tags"),
    "retrained": ("All masks, given and predicted", "without tags"),
    "retrained_tagged": ("All masks, given and predicted", "under the tags"),
}
_WORST_STYLE = (
    "<style>.worst{display:grid;grid-template-columns:repeat(auto-fill,minmax(130px,1fr));gap:10px}"
    ".worst a{display:block;text-decoration:none;color:inherit}"
    ".worst img{width:100%;aspect-ratio:4/3;object-fit:cover;border-radius:8px;display:block}"
    ".worst a:is(:hover,:focus-visible) img{outline:3px solid var(--st-primary-color,#1f6feb)}"
    ".worst span{display:flex;gap:8px;font-size:.8rem;opacity:.75;margin-top:2px}"
    ".worst figure{margin:0;position:relative}.worst a.paint{position:absolute;top:6px;right:6px;padding:1px 9px;"
    "border-radius:99px;font-size:.75rem;background:rgb(0 0 0/.6);color:#fff}.worst a.paint:hover{background:#000}"
    ".worst i{flex:1;font-style:normal;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}</style>"
)
_DOUBTS_STYLE = (
    "<style>.doubts{max-height:260px;overflow:auto;font-size:.85rem}.doubts a{display:flex;gap:10px;padding:2px 0;"
    "color:inherit;text-decoration:none}.doubts a:hover b{text-decoration:underline}.doubts b{flex:1;font-weight:500;"
    "overflow:hidden;text-overflow:ellipsis;white-space:nowrap}.doubts span{opacity:.75}</style>"
)
_SHOWN_IF_SET = frozenset({"weights_file", "learning_rate"})  # shown only where they were set


def insight_head(done: Sequence[RoundInfo], datasets: Mapping[int, str]) -> tuple[int, int | None]:
    """Draw the choice among datasets, id -> name, and finished rounds, one at least; return the ids of both.

    A dataset with a finished round is proposed before one without, which has none to return.
    """
    if set(st.query_params) - _ADDRESS:  # left by the Review page after Back
        st.query_params.from_dict({name: value for name, value in st.query_params.items() if name in _ADDRESS})
    wanted = {str(info.id): info.dataset_id for info in done}.get(st.query_params.get("round", ""))
    if wanted is not None and "dataset" not in st.query_params:  # a link that names only the round
        st.query_params["dataset"] = str(wanted)
    title, choice, which, *links = st.columns([0.8, 2.2, 1.4, 0.8, 0.9, 0.8], vertical_alignment="center")
    title.title("Insight", anchor=False)
    with choice:
        dataset_id = pick("dataset", {info.dataset_id: info.dataset for info in done} | {**datasets}, "Dataset")
    numbered = {info.id: info.name for info in done if info.dataset_id == dataset_id}
    if not numbered:
        st.query_params.pop("round", None)
        return dataset_id, None
    with which:
        round_id = pick("round", numbered, "Round", elsewhere={info.id for info in done})
    recipe = next(info.recipe for info in done if info.id == round_id)
    of_round, of_dataset = queue_of(round_id, recipe), {"dataset": str(dataset_id)}
    review, compare, impact = links
    review.page_link("pages/review.py", label="Review", icon=":material/rule:", query_params=of_round)
    compare.page_link("pages/rounds.py", label="Compare", icon=":material/cycle:", query_params=of_dataset)
    impact.page_link("pages/impact.py", label="Impact", icon=":material/balance:", query_params=of_dataset)
    return dataset_id, round_id


def confusion(measured: Mapping[str, Any], classes: Sequence[str], words: Words, key: str) -> tuple[int, int] | None:
    """Draw the confusion matrix and return the pair that was clicked in this run."""
    if "confusion" not in measured:
        return None
    st.markdown("**Given x predicted**")
    st.caption(words.confusion)
    offered = measured["offered"]
    return confusion_chart(measured["confusion"], classes, offered, f"confusion_{key}", by_row=words.by_row)


def calibration_and_classes(measured: Mapping[str, Any], classes: Sequence[str], words: Words, key: str) -> None:
    """Draw the calibration of the confidence, and the results by class."""
    if "calibration" in measured:
        st.markdown("**Calibration: agreement with the given labels**")
        st.caption(words.calibration)
        calibration_chart(measured["calibration"], f"calibration_{key}", words.unit)
    if "per_class" in measured:
        st.markdown("**By class**")
        class_table(measured["per_class"], classes, f"classes_{key}", words.counted)


def class_table(rows: Sequence[Mapping[str, Any]], classes: Sequence[str], key: str, unit: str) -> None:
    """Draw given count (under the name `unit`), agreement and most frequent confusion of each class."""
    shown = [
        {
            "Class": row["name"],
            **({"IoU": row["iou"]} if "iou" in row else {}),
            unit: row["count"],
            "Agreement": row["agreement"],
            "Most often taken for": _confused_pair(row["worst_pair"], classes),
        }
        for row in rows
    ]
    columns = {
        unit: st.column_config.NumberColumn(format="localized"),
        "Agreement": st.column_config.ProgressColumn(format="percent", min_value=0, max_value=1),
        "IoU": st.column_config.ProgressColumn(format="percent", min_value=0, max_value=1),
    }
    st.dataframe(pd.DataFrame(shown), column_config=columns, hide_index=True, key=key, alt="results per class")


def stage_table(measured: Mapping[str, Any], key: str) -> None:
    """Draw the stages of a round and their scores on the test images; nothing for a recipe without stages."""
    stages = {name: score for name, score in measured.get("stages", {}).items() if name in _STAGES}
    if not stages:
        return
    parts = measured.get("parts", {})
    st.markdown("**Stages**")
    taught = f"{parts.get('labelled', 0):,} masks and {parts.get('unlabelled', 0):,} images with tags were used"
    tested = f"{parts['test']:,} test images" if parts.get("test") else "no test images, so nothing was measured"
    st.caption(f"{taught}; {_STAGES[measured['painter']][0]} painted; {tested}.")
    if all(score["mean_iou"] is None for score in stages.values()):
        return
    rows = [
        {
            "Learnt from": _STAGES[name][0],
            "Seen": _STAGES[name][1],
            "mIoU": score["mean_iou"],
            "Pixels": score["accuracy"],
        }
        for name, score in stages.items()
    ]
    columns = {
        name: st.column_config.ProgressColumn(format="percent", min_value=0, max_value=1) for name in ("mIoU", "Pixels")
    }
    st.dataframe(pd.DataFrame(rows), column_config=columns, hide_index=True, key=key, alt="results per stage")


def iteration_table(measured: Mapping[str, Any], key: str) -> None:
    """Draw the iterations of teacher and student, and the result on the test images; nothing without iterations."""
    iterations = measured.get("iterations") or []
    if choice := measured.get("choice"):
        st.caption(f"{chosen_on_labels(choice, measured['best'])} {result_on_test(measured)}")
    if not iterations and not measured.get("teacher"):
        return
    parts = measured.get("parts", {})
    st.markdown("**Iterations**")
    taught = f"{parts.get('labelled', 0):,} labelled and {parts.get('unlabelled', 0):,} unlabelled images were used"
    st.caption(
        f"{taught}; chosen by {parts.get('validation', 0):,} others. {result_on_test(measured)} Proposals for images "
        "without a label come from a network trained without these images, even without their pseudo labels."
    )
    if mirror := measured.get("mirror"):
        st.caption(mirrored_or_not(mirror))
    if seen := views_seen(measured.get("trained", {})):
        st.caption(seen)
    if measured["best"] in LABELS_ALONE:
        st.info(
            "The validation images show no gain: pseudo labels did not help here. The proposals are those of the "
            "network trained on the labels only.",
            icon=":material/trending_flat:",
        )
    rows = [_iteration("Labels alone", "", None, measured["baseline"], None, chosen=measured["best"] in LABELS_ALONE)]
    if measured.get("teacher"):
        chosen = measured["best"] == "teacher"
        rows.append(_iteration("With consistency", "", None, measured["teacher"], None, chosen=chosen))
    for one in iterations:
        taken, predicted = sum(one["taken"]), sum(one["predicted"])
        share = taken / predicted if predicted else None
        rows.append(
            _iteration(
                f"Iteration {one['number']}",
                one["teacher"].replace("_", " "),
                share,
                one["student"],
                one["tuned"],
                chosen=measured["best"] in {f"student_{one['number']}", f"tuned_{one['number']}"},
            )
        )
    bars = {
        name: st.column_config.ProgressColumn(format="percent", min_value=0, max_value=1)
        for name in ("Student", "Fine-tuned")
    }
    learnt = st.column_config.NumberColumn(
        format="percent", help="of the teacher's predictions, the most confident of each class"
    )
    st.dataframe(
        pd.DataFrame(rows),
        column_config={**bars, "Learnt": learnt},
        hide_index=True,
        key=key,
        alt="results per iteration",
        placeholder="",
    )


def chosen_on_labels(choice: Mapping[str, Any], best: str) -> str:
    """Return a sentence on the labels used by a round with a frozen network, and on their cross-validation."""
    learnt = "labels as they spread to similar images" if best == "spread" else "the labels alone"
    if choice["probe_right"] is None:
        return f"A regression was trained on {learnt}; there were too few labels to compare that with the other way."
    return (
        f"A regression was trained on {learnt}: of {choice['held_out']:,} held-out labels it agreed with "
        f"{choice['spread_right']:.1%} after spreading them, with {choice['probe_right']:.1%} with the labels only."
    )


def views_seen(trained: Mapping[str, Mapping[str, int]]) -> str:
    """Return a sentence on the number of unlabelled views and of steps of each network."""
    shown = [
        f"{name.replace('_', ' ')} {own['views']:,} in {own['steps']:,} steps"
        for name, own in trained.items()
        if own.get("views")
    ]
    return f"Unlabelled images seen, repeated ones too: {', '.join(shown)}." if shown else ""


def mirrored_or_not(mirror: Mapping[str, Any]) -> str:
    """Return a sentence on mirrored images, as decided by the validation images."""
    if mirror["right"] is None:
        return "Images were not mirrored: too few validation images to decide it."
    known = (
        f"with the labels only, {mirror['right']:.1%} of {mirror['images']:,} validation images are right, and "
        f"{mirror['right_mirrored']:.1%} of their mirror images"
    )
    if mirror["mirror"]:
        return f"Half of the images were mirrored in training: {known}."
    if mirror["lost_by_learning"] is None:
        return f"Images were not mirrored: {known}."
    return f"Images were not mirrored: {known}, but a network trained with mirrored images did worse."


def result_on_test(measured: Mapping[str, Any]) -> str:
    """Return the result on the test images as a sentence."""
    best, baseline = measured.get("test"), measured.get("baseline_test")
    if not best or not baseline or best["value"] is None or baseline["value"] is None:
        return "No test split was chosen, so the gain was not measured separately."
    return f"On the test images: {best['value']:.1%}, labels alone {baseline['value']:.1%}."


def network_table(measured: Mapping[str, Any], key: str) -> None:
    """Draw the networks of a finished round with their weights; nothing of a round with one network."""
    rows = measured.get("networks")
    if not rows:
        return
    st.markdown("**Networks and their mix**")
    st.caption("Weights are those under which the given labels are likeliest, out of fold.")
    shown = [
        {
            "Network": row["model"],
            "Method": row.get("method", ""),
            "Weight": row.get("weight"),
            "Agreement": row["agreement"],
            "Log likelihood": row["log_likelihood"],
        }
        for row in rows
    ]
    columns = {
        "Weight": st.column_config.NumberColumn(format="%.2f"),
        "Agreement": st.column_config.NumberColumn(format="percent", help="with the given labels, out of fold"),
        "Log likelihood": st.column_config.NumberColumn(format="%.3f", help="mean of the given labels, in nats"),
    }
    st.dataframe(pd.DataFrame(shown), column_config=columns, hide_index=True, key=key, alt="the networks of the round")


def kept_networks(kept: RoundNetworks, key: str) -> None:
    """Draw the kept networks of a round with their hashes."""
    if not kept.networks:
        st.caption("Its networks are not kept any more; only those of the newest rounds are.")
        return
    rows = [
        {
            "Network": one.full_name,
            "Hash": one.hash,
            "MB": one.bytes / 1e6,
            "Accuracy": one.about.accuracy,
            "mIoU": one.about.mean_iou,
        }
        for one in kept.networks
    ]
    columns = {
        "MB": st.column_config.NumberColumn(format="%.1f"),
        "Accuracy": st.column_config.NumberColumn(format="percent", help="on held-out images"),
        "mIoU": st.column_config.NumberColumn(format="percent", help="on held-out images"),
    }
    known = pd.DataFrame(rows).dropna(axis="columns", how="all")
    st.dataframe(known, column_config=columns, hide_index=True, key=key, alt="the networks that are kept")
    if kept.predicting:
        st.caption("They can label new images too: see *Command line* in the README.")


def worst_images(images: Sequence[tuple[int, str, str, float]], round_id: int) -> None:
    """Draw images, each (sample, name, content hash, score), with links to their review and to the editor."""
    if not images:
        return
    st.markdown("**Worst images**")
    st.caption("Lowest label quality first (softmin over pixels). Click an image to review its regions, or paint it.")
    thumbnails = "".join(_thumbnail(*image, round_id) for image in images)
    st.html(f'{_WORST_STYLE}<div class="worst">{thumbnails}</div>')


def tag_doubts(tagged: Mapping[str, Any] | None, classes: Sequence[str], round_id: int) -> None:
    """Draw contradictions between tags and masks, each with a link to the editor; nothing without tags."""
    if not tagged:
        return
    st.markdown("**Tags against masks**")
    missing, excluded, doubts = tagged["missing"], tagged["excluded"], tagged["doubts"]
    if not doubts:
        st.caption(f"The masks of {counted(tagged['images'], 'image')} with tags agree with them.")
        return
    st.caption(
        f"{counted(tagged['images'], 'image')} with tags. Tagged, but not in the mask: {missing:,}. "
        f"In the mask, but not tagged: {excluded:,}. Click one to see it."
    )
    st.html(f'{_DOUBTS_STYLE}<div class="doubts">{"".join(_doubt(one, classes, round_id) for one in doubts)}</div>')


def facts_table(facts: Mapping[str, Any]) -> None:
    """Draw names and values, without empty ones."""
    rows = {name.replace("_", " "): str(value) for name, value in facts.items() if _is_set(name, value)}
    st.table(pd.DataFrame.from_dict(rows, orient="index", columns=[""]), border="horizontal", hide_header=True)


def _confused_pair(pair: Mapping[str, int] | None, classes: Sequence[str]) -> str:
    return f"{classes[pair['pseudo']]} ({pair['count']})" if pair else ""


def _iteration(
    name: str,
    teacher: str,
    share: float | None,
    student: Mapping[str, Any] | None,
    tuned: Mapping[str, Any] | None,
    *,
    chosen: bool,
) -> dict[str, Any]:
    return {
        "Network": name,
        "Teacher": teacher,
        "Learnt": share,
        "Student": student["value"] if student else None,
        "Fine-tuned": tuned["value"] if tuned else None,
        "Chosen": "best" if chosen else "",
    }


def _thumbnail(sample_id: int, path: str, content_hash: str, score: float, round_id: int) -> str:
    address, name = escape(review_address(sample_id, round_id)), escape(path.rsplit("/", 1)[-1])
    editor = escape(editor_address(sample_id, round_id))
    return (
        f'<figure><a href="{address}" target="_self" title="{escape(path)}"><img src="/outfold/image/'
        f'{escape(content_hash)}/384.webp" alt="" loading="lazy"><span><i>{name}</i>{score:.2f}</span></a>'
        f'<a class="paint" href="{editor}" target="_self" aria-label="Paint {name}">'
        "paint</a></figure>"
    )


def editor_address(sample_id: int, round_id: int) -> str:
    """Return the address of the editor of an image's mask, relative to this page."""
    return f"masks?{urlencode({'round': round_id, 'sample': sample_id})}"


def _doubt(doubt: Mapping[str, Any], classes: Sequence[str], round_id: int) -> str:
    address, label = escape(editor_address(doubt["sample_id"], round_id)), escape(classes[doubt["label"]])
    where = "prediction" if doubt["predicted"] else "mask"
    contradiction = (
        f"{label} missing in the {where}" if doubt["contradiction"] == "missing" else f"{label} against the tags"
    )
    return f'<a href="{address}" target="_self"><b>{escape(doubt["name"])}</b><span>{contradiction}</span></a>'


def _is_set(name: str, value: object) -> bool:
    return value is not None and value != "" and not (name in _SHOWN_IF_SET and not value)
