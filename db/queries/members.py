"""Members of datasets: whether a dataset is restricted, and the users who see it then."""

from collections.abc import Iterable

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from db.models import DatasetMemberRow, DatasetRow, UserRow


def members_by_dataset(session: Session) -> dict[int, list[str]]:
    """Return the names of the members of each restricted dataset, sorted; admins see it beside them."""
    found: dict[int, list[str]] = {
        dataset_id: [] for dataset_id in session.scalars(select(DatasetRow.id).where(DatasetRow.restricted))
    }
    query = select(DatasetMemberRow.dataset_id, UserRow.name).join(UserRow, UserRow.id == DatasetMemberRow.user_id)
    for dataset_id, name in session.execute(query.order_by(UserRow.folded_name)):
        if dataset_id in found:
            found[dataset_id].append(name)
    return found


def set_members(session: Session, dataset_id: int, user_ids: Iterable[int] | None) -> None:
    """Restrict a dataset to these users and admins; None: everybody sees it."""
    session.execute(update(DatasetRow).where(DatasetRow.id == dataset_id).values(restricted=user_ids is not None))
    session.execute(delete(DatasetMemberRow).where(DatasetMemberRow.dataset_id == dataset_id))
    rows = [{"dataset_id": dataset_id, "user_id": user_id} for user_id in user_ids or ()]
    if rows:
        session.execute(insert(DatasetMemberRow), rows)
