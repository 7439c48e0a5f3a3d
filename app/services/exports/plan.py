"""Contents of an export: samples and decisions, read in one transaction."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy.orm import Session

from app.services.app_context import AppContext
from app.services.label_kinds import label_kind
from app.services.masks.history import MaskHistory, exported_given
from app.services.reviews.classes import first_names, past_acts
from app.services.reviews.precision import wrong_labels_of_dataset
from app.services.rounds.history import bulk_acts
from core.data.export.items import (
    ExportItem,
    ExportOptions,
    ExportPlan,
    LabelOrigin,
    Source,
    Unsettled,
    UnusablePolicy,
    plan_export,
)
from core.data.export.mask_plan import MaskExportItem, MaskPlan, RegionRecord, check_mask_options, plan_masks
from core.data.masks.store import MaskStore
from core.judge.masks import final_decisions
from core.judge.review import resolve
from core.types import NO_LABEL, ClassState, ClassTable, Decision, ExportError, RegionDecision, Task, Verdict
from db.queries import datasets, decisions, deletions, exports, masks, notes, snapshots
from db.queries.datasets import DatasetInfo
from db.queries.snapshots import Sample

_VERDICTS = {Unsettled.AMBIGUOUS: Verdict.AMBIGUOUS, Unsettled.EXCLUDED: Verdict.EXCLUDE}
_COLUMNS = {"path": "path_column", "label": "label_column"}  # of a table that was read by columns chosen by name


def plan_for(app_context: AppContext, dataset_id: int, options: ExportOptions) -> ExportPlan | MaskPlan:
    """Return the plan that follows from the labels as they are now, all read in one transaction.

    Raises:
        DatasetError: there is no such dataset.
        ExportError: the options do not suit its kind of labels.
    """
    with app_context.database.read() as session:
        info = datasets.get_dataset(session, dataset_id)
        state = info.class_state
        check_form(info, options)
        rounds = tuple(exports.finished_rounds(session, dataset_id))
        wrong = wrong_labels_of_dataset(app_context, session, dataset_id)
        source = Source(
            info.name,
            info.task.value,
            state.offered_names,
            rounds,
            info.evaluation_splits,
            wrong_labels=wrong.as_json() if wrong else None,
            bulk_acts=tuple(act.as_json() for act in bulk_acts(session, dataset_id)),
            notes=_notes(session, dataset_id),
            class_acts=tuple(act.as_json() for act in past_acts(session, dataset_id) if act.live),
            removed=deletions.removed_count(session, dataset_id),
            columns={name: info.options[key] for name, key in _COLUMNS.items() if info.options.get(key)},
        )
        return _PLANS[info.task](app_context, session, info, source, options)


def check_form(info: DatasetInfo, options: ExportOptions) -> None:
    """Refuse a form that cannot hold a dataset's labels.

    Raises:
        ExportError: classes would be exported as masks, masks as classes, or regions set apart.
    """
    forms = label_kind(info.task).export_formats
    if options.format not in forms:
        names = ", ".join(form.value for form in forms)
        raise ExportError(f"{info.name} cannot be exported as {options.format.value}", f"choose from {names}")
    if options.format.of_masks:
        check_mask_options(options)


def _plan_labels(
    _app_context: AppContext, session: Session, info: DatasetInfo, source: Source, options: ExportOptions
) -> ExportPlan:
    return plan_export(source, _items(session, info), options)


def _plan_masks(
    app_context: AppContext, session: Session, info: DatasetInfo, source: Source, options: ExportOptions
) -> MaskPlan:
    offered, colours = info.class_state.offered, info.colours or ()
    table = ClassTable(info.class_state.offered_names, tuple(colours[one] for one in offered))
    images = _mask_items(app_context, session, info, options)
    return plan_masks(source, table, images, options, MaskStore(app_context.masks))


def _notes(session: Session, dataset_id: int) -> tuple[dict[str, Any], ...]:
    return tuple(
        {"name": name, "text": text, "annotator": annotator, "noted_at": noted_at.isoformat()}
        for name, text, annotator, noted_at in notes.current_notes(session, dataset_id)
    )


def _items(session: Session, info: DatasetInfo) -> list[ExportItem]:
    classes, of_source, dataset_id = info.classes, first_names(session, info), info.id
    samples = snapshots.samples_of(session, dataset_id)
    given = {sample.id: sample.label for sample in samples}
    resolved = resolve(given, decisions.live_decisions(session, dataset_id))
    confidences = exports.decision_confidences(session, dataset_id)
    numbers = exports.round_numbers(session, dataset_id)

    def item(sample: Sample) -> ExportItem:
        resolution = resolved[sample.id]
        decision = resolution.decision
        plain = ExportItem(
            path=sample.path,
            name=sample.name,
            content_hash=sample.content_hash,
            given=None if sample.label is None else classes[sample.label],
            source_label=None if sample.stored_label is None else of_source[sample.stored_label],
            label=None if resolution.label is None else classes[resolution.label],
            split=sample.split,
            group=sample.group,
            bytes=sample.bytes,
        )
        return _decided(plain, decision, numbers, confidences) if decision else plain

    return [item(sample) for sample in samples]


def _decided(
    item: ExportItem, decision: Decision, numbers: dict[int, int], confidences: dict[int, float]
) -> ExportItem:
    values = asdict(item) | {
        "verdict": decision.verdict.value,
        "method": LabelOrigin.BULK if decision.bulk else LabelOrigin.PERSON,
        "annotator": decision.annotator,
        "decided_at": decision.decided_at.isoformat(),
        "round": numbers.get(decision.round_id or 0),
        "confidence": confidences.get(decision.number),
        "changeset": decision.changeset_id,
    }
    return ExportItem(**values)


@dataclass(frozen=True, slots=True)
class _DecisionDetails:
    """Context of exported decisions."""

    classes: ClassState
    numbers: Mapping[int, int]  # of rounds
    confidences: Mapping[int, float]  # by the decision's number


def _mask_items(
    app_context: AppContext, session: Session, info: DatasetInfo, options: ExportOptions
) -> list[MaskExportItem]:
    decided = dict(masks.region_decisions_by_sample(session, info.id))
    known = masks.samples_by_id(session, info.id)
    state, store = info.class_state, MaskStore(app_context.masks)
    details = _DecisionDetails(
        state, exports.round_numbers(session, info.id), exports.decision_confidences(session, info.id)
    )
    as_given = [
        verdict for reason, verdict in _VERDICTS.items() if options.treatment(reason) is UnusablePolicy.KEEP_GIVEN
    ]

    def item(sample: Sample) -> MaskExportItem:
        live = decided.get(sample.id, [])
        given = sample.mask_hash and exported_given(store, sample.mask_hash, state)
        return MaskExportItem(
            path=sample.path,
            name=sample.name,
            content_hash=sample.content_hash,
            given=given,
            mask=MaskHistory(store, known[sample.id], live).exported(as_given) if live else given,
            split=sample.split,
            group=sample.group,
            width=sample.width,
            height=sample.height,
            bytes=sample.bytes,
            regions=tuple(_record(one, details) for one in final_decisions(live)),
        )

    return [item(sample) for sample in snapshots.samples_of(session, info.id)]


def _record(one: RegionDecision, details: _DecisionDetails) -> RegionRecord:
    decision = one.decision
    x, y, width, height = (None,) * 4 if one.region is None else one.region.box
    return RegionRecord(
        x=x,
        y=y,
        width=width,
        height=height,
        area=None if one.region is None else one.region.area,
        given=None if one.given in (None, NO_LABEL) else details.classes.name_of(one.given),
        label=None if decision.label is None else details.classes.name_of(decision.label),
        verdict=decision.verdict.value,
        method=LabelOrigin.BULK if decision.bulk else LabelOrigin.PERSON,
        annotator=decision.annotator,
        decided_at=decision.decided_at.isoformat(),
        round=details.numbers.get(decision.round_id or 0),
        confidence=details.confidences.get(decision.number),
        changeset=decision.changeset_id,
        mask=decision.mask_hash or "",
    )


_Plan = Callable[[AppContext, Session, DatasetInfo, Source, ExportOptions], ExportPlan | MaskPlan]
_PLANS: Mapping[Task, _Plan] = {Task.CLASSIFICATION: _plan_labels, Task.SEGMENTATION: _plan_masks}
