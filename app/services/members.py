"""Restricted datasets, which only their members and admins see, and datasets visible to all users.

`db.visibility` hides datasets; this module manages their members.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from app.services.app_context import AppContext
from app.services.people import PersonError, log_act
from core.types import DatasetError, LoggedAct, Role
from db.queries import datasets, members, people
from db.visibility import everything_seen, hidden_in, is_limited


@dataclass(frozen=True, slots=True)
class Membership:
    """Members of a dataset, by name; None: all users see it. `users` are all who can sign in."""

    members: tuple[str, ...] | None
    users: tuple[str, ...]


def membership(app_context: AppContext, dataset_id: int) -> Membership:
    """Return the members of a dataset.

    Raises:
        DatasetError: there is none with this id.
    """
    with app_context.database.read() as session:
        datasets.get_dataset(session, dataset_id)
        found = members.members_by_dataset(session).get(dataset_id)
        users = tuple(user.name for user in people.list_users(session))
    return Membership(None if found is None else tuple(found), users)


def members_by_dataset(app_context: AppContext) -> dict[int, list[str]]:
    """Return the names of the members of each restricted dataset, sorted."""
    with app_context.database.read() as session:
        return members.members_by_dataset(session)


def set_members(app_context: AppContext, dataset_id: int, names: Sequence[str] | None, *, by: str) -> Membership:
    """Restrict a dataset to these users and admins; None: all users see it. The acting user stays a member.

    Raises:
        DatasetError: there is no such dataset.
        PersonError: a name is not a user's, or there is no login.
    """
    with app_context.database.write() as session:
        info = datasets.get_dataset(session, dataset_id)
        known = {user.name.casefold(): user for user in people.list_users(session)}
        if names is not None and not known:
            raise PersonError("there is no login, so everybody sees every dataset", "add users first")
        unknown = [name for name in names or () if name.casefold() not in known]
        if unknown:
            listed = ", ".join(user.name for user in known.values())
            raise PersonError(f"there is no user called {unknown[0]}", f"there are: {listed}")
        chosen = None if names is None else {known[name.casefold()].id for name in names}
        own = known.get(by.casefold())
        if chosen is not None and own is not None and own.role is not Role.ADMIN:
            chosen.add(own.id)  # otherwise the acting user would lose the dataset
        members.set_members(session, dataset_id, chosen)
        now = members.members_by_dataset(session).get(dataset_id)
        log_act(session, LoggedAct.MEMBERS_CHANGED, by, info.name, {"members": now})
    return membership(app_context, dataset_id)


def refuse_hidden(app_context: AppContext, *, dataset_id: int | None, round_id: int | None) -> None:
    """Check that a dataset and a round are visible to the current user; otherwise their lists would just be empty.

    Raises:
        DatasetError: one is; the text is that of one that does not exist.
    """
    if not is_limited():
        return
    with app_context.database.read() as session:
        hidden = hidden_in(session)
    for what, number, among in (("dataset", dataset_id, hidden.datasets), ("round", round_id, hidden.rounds)):
        if number in among:
            raise DatasetError(f"there is no {what} {number}", "it may belong to another installation")


def refuse_hidden_name(app_context: AppContext, name: str) -> None:
    """Check that no dataset hidden from the current user has this name.

    Raises:
        DatasetError: one has; the text does not reveal more.
    """
    if not is_limited():
        return
    with app_context.database.read() as session:
        seen = datasets.find_dataset(session, name)
    with everything_seen(), app_context.database.read() as session:
        there = datasets.find_dataset(session, name)
    if there is not None and seen is None:
        raise DatasetError(f"the name {name} is taken", "choose another name")
