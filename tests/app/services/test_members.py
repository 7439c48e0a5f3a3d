"""Members of datasets: visibility, the right to change it, and refusals to others."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from app.services import datasets, deletions, images, members, people
from app.services.allowed import originals_around
from app.services.app_context import AppContext
from app.services.imports import jobs as imports
from app.services.imports.request import ImportRequest
from app.services.people import PersonError
from app.services.rounds import jobs as rounds
from core.types import DatasetError, LoggedAct, Role
from db.models import DatasetMemberRow, SampleRow
from db.visibility import everything_seen, seen_by, set_viewer_source

PASSWORD = "correct horse battery"


@pytest.fixture
def opened(scenes: AppContext) -> AppContext:
    """Return the scenes with an admin, a lead and an annotator; nothing is restricted."""
    for name, role in (("root", Role.ADMIN), ("Lea", Role.LEAD), ("Ben", Role.ANNOTATOR)):
        people.add_user(scenes, name, PASSWORD, role, by="root")
    return scenes


def names(app_context: AppContext) -> list[str]:
    return [card.dataset.name for card in datasets.list_datasets(app_context)]


def test_a_dataset_is_visible_to_all_users_unless_it_is_restricted(opened: AppContext) -> None:
    with seen_by("Ben"):
        assert names(opened) == ["scenes"]
    members.set_members(opened, 1, ["lea"], by="root")
    for name, seen in (("Lea", ["scenes"]), ("LEA", ["scenes"]), ("Ben", []), ("unknown", []), (None, ["scenes"])):
        with seen_by(name):
            assert names(opened) == seen
            assert [info.dataset for info in rounds.list_rounds(opened)] == seen
    assert members.membership(opened, 1).members == ("Lea",)
    members.set_members(opened, 1, None, by="root")
    with seen_by("Ben"):
        assert names(opened) == ["scenes"]
    assert members.members_by_dataset(opened) == {}


def test_the_user_who_restricts_a_dataset_stays_a_member_and_the_act_is_logged(opened: AppContext) -> None:
    with seen_by("Lea"):
        assert members.set_members(opened, 1, ["Ben"], by="Lea").members == ("Ben", "Lea")
        assert names(opened) == ["scenes"]
    assert members.set_members(opened, 1, [], by="root").members == ()
    logged = people.log_entries(opened, [LoggedAct.MEMBERS_CHANGED], 9)
    assert [(one.actor, one.subject, one.details["members"]) for one in logged] == [
        ("root", "scenes", []), ("Lea", "scenes", ["Ben", "Lea"]),
    ]  # fmt: skip


def test_a_non_member_cannot_change_members(opened: AppContext) -> None:
    members.set_members(opened, 1, ["Ben"], by="root")
    with seen_by("Lea"):
        with pytest.raises(DatasetError, match="there is no dataset 1"):
            members.set_members(opened, 1, ["Lea"], by="Lea")
        with pytest.raises(DatasetError, match="there is no dataset 1"):
            members.membership(opened, 1)
        assert members.members_by_dataset(opened) == {}


def test_an_unknown_user_or_a_restriction_without_login_is_refused(opened: AppContext, scenes: AppContext) -> None:
    with pytest.raises(PersonError, match="no user called eve"):
        members.set_members(opened, 1, ["Ben", "eve"], by="root")
    assert members.membership(opened, 1).members is None
    for name in ("Lea", "Ben", "root"):
        people.remove_user(scenes, name, by="root")
    with pytest.raises(PersonError, match="no login"):
        members.set_members(scenes, 1, [], by="root")


def test_a_later_user_of_the_same_name_is_not_a_member(opened: AppContext) -> None:
    members.set_members(opened, 1, ["Ben"], by="root")
    people.remove_user(opened, "Ben", by="root")
    with opened.database.read() as session:
        assert session.scalars(select(DatasetMemberRow.user_id)).all() == []
    people.add_user(opened, "Ben", PASSWORD, Role.ANNOTATOR, by="root")
    with seen_by("Ben"):
        assert names(opened) == []


def test_the_name_of_a_hidden_dataset_is_taken_and_cannot_be_imported_into(
    opened: AppContext, digits_folder: Path
) -> None:
    members.set_members(opened, 1, ["Ben"], by="root")
    with seen_by("Lea"):
        request = ImportRequest(source=str(digits_folder), name="scenes")
        with pytest.raises(DatasetError, match="the name scenes is taken"):
            imports.add_import(opened, request)
        added = imports.add_import(opened, ImportRequest(source=str(digits_folder), name="digits"))
        imports.run_import(opened, added)
        own = datasets.find_dataset(opened, "digits")
        assert own
        with pytest.raises(DatasetError, match="the name scenes is taken"):
            datasets.rename(opened, own.id, "scenes")


def test_a_picture_rendered_for_a_member_is_not_served_to_others(opened: AppContext) -> None:
    with opened.database.read() as session:
        content = session.scalars(select(SampleRow.content_hash).order_by(SampleRow.id)).first()
    assert content
    members.set_members(opened, 1, ["Ben"], by="root")
    with seen_by("Ben"):
        assert images.thumbnail(opened, content, 96)
    with seen_by("Lea"):
        assert images.thumbnail(opened, content, 96) is None
        assert images.file_of(opened, content) is None


def test_exports_by_non_members_cannot_overwrite_hidden_originals(opened: AppContext) -> None:
    root = Path(datasets.get_dataset(opened, 1).root)
    members.set_members(opened, 1, ["Ben"], by="root")
    with seen_by("Lea"):
        assert originals_around(opened, root / "export")


def test_running_imports_and_deletions_of_hidden_datasets_are_hidden(opened: AppContext) -> None:
    members.set_members(opened, 1, ["Ben"], by="root")
    queued = imports.add_import(opened, imports.move_request(opened, 1, Path(datasets.get_dataset(opened, 1).root)))
    for name, seen in (("Ben", [queued]), ("Lea", [])):
        with seen_by(name):
            assert [info.id for info in datasets.overview(opened).unfinished] == seen
    imports.end_import(opened, queued)
    deletions.delete_dataset(opened, 1, "root")
    for name, count in (("Ben", 1), ("Lea", 0)):
        with seen_by(name):
            assert len(deletions.restorable(opened)) == count


@pytest.fixture
def asked() -> Iterator[list[str | None]]:
    """Return the list whose last entry looks where no request says who."""
    looking: list[str | None] = [None]
    set_viewer_source(lambda: looking[-1])
    yield looking
    set_viewer_source(lambda: None)


def test_the_viewer_is_taken_from_the_fallback_outside_a_request(opened: AppContext, asked: list[str | None]) -> None:
    members.set_members(opened, 1, ["Ben"], by="root")
    assert names(opened) == ["scenes"]
    asked.append("Lea")
    assert names(opened) == []
    with seen_by("Ben"):
        assert names(opened) == ["scenes"]
    with everything_seen():
        assert names(opened) == ["scenes"]
    assert names(opened) == []
