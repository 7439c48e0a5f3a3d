"""What an export of a dataset would hold now: its samples, and what people decided, read in one transaction."""

from dataclasses import asdict

from sqlalchemy.orm import Session

from app.services.workspace import Workspace
from core.data.export.items import ExportItem, ExportOptions, Method, Plan, Source, plan_export
from core.judge.review import resolve
from core.types import Decision
from db.queries import datasets, decisions, exports
from db.queries.exports import ExportedSample


def plan_for(workspace: Workspace, dataset_id: int, options: ExportOptions) -> Plan:
    """Return the plan that follows from the labels as they are now, all read in one transaction."""
    with workspace.database.read() as session:
        info = datasets.get_dataset(session, dataset_id)
        source = Source(info.name, info.task.value, info.classes, tuple(exports.finished_rounds(session, dataset_id)))
        return plan_export(source, _items(session, dataset_id, info.classes), options)


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
        "round": numbers.get(decision.round_id),
        "confidence": confidences.get(decision.number),
        "changeset": decision.changeset_id,
    }
    return ExportItem(**values)
