"""What an export of a dataset would hold now: its samples, and what people decided, read in one transaction."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from sqlalchemy.orm import Session

from app.services.history import bulk_acts
from app.services.mask_versions import exported_mask, widened_version
from app.services.reviews.precision import wrong_labels_of_dataset
from app.services.workspace import Workspace
from core.data.export.items import ExportItem, ExportOptions, Method, Plan, Source, Treatment, Unsettled, plan_export
from core.data.export.mask_plan import MaskedImage, MaskPlan, RegionRecord, check_mask_options, plan_masks
from core.data.masks.store import MaskStore
from core.judge.masks import deciding
from core.judge.review import resolve
from core.types import NO_LABEL, ClassTable, Decision, ExportError, RegionDecision, Verdict
from db.queries import datasets, decisions, exports, masks
from db.queries.datasets import DatasetInfo
from db.queries.exports import ExportedSample

_VERDICTS = {Unsettled.AMBIGUOUS: Verdict.AMBIGUOUS, Unsettled.EXCLUDED: Verdict.EXCLUDE}


_COLUMNS = {"path": "path_column", "label": "label_column"}  # of a table that was read by columns chosen by name


def plan_for(workspace: Workspace, dataset_id: int, options: ExportOptions) -> Plan | MaskPlan:
    """Return the plan that follows from the labels as they are now, all read in one transaction.

    Raises:
        DatasetError: there is no such dataset.
        ExportError: the options do not suit its kind of labels.
    """
    with workspace.database.read() as session:
        info = datasets.get_dataset(session, dataset_id)
        check_form(info, options)
        rounds = tuple(exports.finished_rounds(session, dataset_id))
        wrong = wrong_labels_of_dataset(workspace, session, dataset_id)
        source = Source(
            info.name,
            info.task.value,
            info.classes,
            rounds,
            info.evaluation_splits,
            wrong_labels=wrong.as_json() if wrong else None,
            bulk_acts=tuple(act.as_json() for act in bulk_acts(session, dataset_id)),
            columns={name: info.options[key] for name, key in _COLUMNS.items() if info.options.get(key)},
        )
        if info.colours is None:
            return plan_export(source, _items(session, dataset_id, info.classes), options)
        table = ClassTable(info.classes, info.colours)
        images = _images(workspace, session, info, options)
        return plan_masks(source, table, images, options, MaskStore(workspace.masks))


def check_form(info: DatasetInfo, options: ExportOptions) -> None:
    """Refuse a form that cannot hold a dataset's labels.

    Raises:
        ExportError: classes are to leave as masks, masks as classes, or regions are to stand apart.
    """
    of_masks = info.colours is not None
    if options.format.of_masks != of_masks:
        forms = ", ".join(form.value for form in type(options.format) if form.of_masks == of_masks)
        raise ExportError(f"{info.name} cannot be exported as {options.format.value}; choose from {forms}")
    if of_masks:
        check_mask_options(options)


def _items(session: Session, dataset_id: int, classes: tuple[str, ...]) -> list[ExportItem]:
    samples = exports.exported_samples(session, dataset_id)
    given = {sample.id: sample.label for sample in samples}
    resolved = resolve(given, decisions.live_decisions(session, dataset_id))
    confidences = exports.decision_confidences(session, dataset_id)
    numbers = exports.round_numbers(session, dataset_id)

    def item(sample: ExportedSample) -> ExportItem:
        resolution = resolved[sample.id]
        decision = resolution.decision
        plain = ExportItem(
            path=sample.path,
            name=sample.name,
            content_hash=sample.content_hash,
            given=None if sample.label is None else classes[sample.label],
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
        "method": Method.BULK if decision.bulk else Method.PERSON,
        "annotator": decision.annotator,
        "decided_at": decision.decided_at.isoformat(),
        "round": numbers.get(decision.round_id or 0),
        "confidence": confidences.get(decision.number),
        "changeset": decision.changeset_id,
    }
    return ExportItem(**values)


@dataclass(frozen=True, slots=True)
class _Said:
    """What is told of decisions besides themselves."""

    classes: tuple[str, ...]
    numbers: Mapping[int, int]  # of rounds
    confidences: Mapping[int, float]  # by the decision's number


def _images(workspace: Workspace, session: Session, info: DatasetInfo, options: ExportOptions) -> list[MaskedImage]:
    decided = dict(masks.region_decisions_by_sample(session, info.id))
    known = masks.samples_by_id(session, info.id)
    said = _Said(info.classes, exports.round_numbers(session, info.id), exports.decision_confidences(session, info.id))
    as_given = [verdict for reason, verdict in _VERDICTS.items() if options.treatment(reason) is Treatment.KEEP_GIVEN]

    def image(sample: ExportedSample) -> MaskedImage:
        live = decided.get(sample.id, [])
        given = sample.mask_hash and widened_version(workspace, sample.mask_hash, len(info.classes))
        return MaskedImage(
            path=sample.path,
            name=sample.name,
            content_hash=sample.content_hash,
            given=given,
            mask=exported_mask(workspace, known[sample.id], live, as_given) if live else given,
            split=sample.split,
            group=sample.group,
            width=sample.width,
            height=sample.height,
            bytes=sample.bytes,
            regions=tuple(_record(one, said) for one in deciding(live)),
        )

    return [image(sample) for sample in exports.exported_samples(session, info.id)]


def _record(one: RegionDecision, said: _Said) -> RegionRecord:
    decision = one.decision
    x, y, width, height = (None,) * 4 if one.region is None else one.region.box
    return RegionRecord(
        x=x,
        y=y,
        width=width,
        height=height,
        area=None if one.region is None else one.region.area,
        given=None if one.given in (None, NO_LABEL) else said.classes[one.given],
        label=None if decision.label is None else said.classes[decision.label],
        verdict=decision.verdict.value,
        method=Method.BULK if decision.bulk else Method.PERSON,
        annotator=decision.annotator,
        decided_at=decision.decided_at.isoformat(),
        round=said.numbers.get(decision.round_id or 0),
        confidence=said.confidences.get(decision.number),
        changeset=decision.changeset_id,
        mask=decision.mask_hash or "",
    )
