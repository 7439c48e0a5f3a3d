"""Users, passwords, sessions, the limit of failed sign-ins, and the audit log."""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from app.services import people, reviews
from app.services.annotators import AnnotatorError
from app.services.app_context import AppContext
from app.services.exports import jobs as exports
from app.services.exports.jobs import ExportRequest
from app.services.people import MOST_FAILED_OF_ADDRESS, MOST_FAILED_OF_NAME, PersonError, SignInRefusedError
from app.services.reviews import ActKey
from core.types import FindingFilter, FindingKind, LoggedAct, OutfoldError, Role
from db.models import LogEntryRow, LoginSessionRow, SigningKeyRow, UserRow
from tools.fixtures.reviews import fill

PASSWORD = "correct horse battery"
HERE = "10.0.0.1"


@pytest.fixture
def ada(app_context: AppContext) -> AppContext:
    """Return an installation whose admin is Ada."""
    people.add_user(app_context, "Ada", PASSWORD, Role.ADMIN, by="root")
    return app_context


def acts(app_context: AppContext) -> list[LoggedAct]:
    return [one.act for one in people.log_entries(app_context, [], 100)][::-1]


def test_login_is_required_from_the_first_user_on(app_context: AppContext) -> None:
    assert not people.has_login(app_context)
    with pytest.raises(PersonError, match="the role admin"):
        people.add_user(app_context, "ben", PASSWORD, Role.LEAD, by="root")
    assert people.add_user(app_context, " Ada \n Byron ", PASSWORD, Role.ADMIN, by="root") == "Ada Byron"
    assert people.has_login(app_context)
    people.remove_user(app_context, "ada byron", by="root")
    assert not people.has_login(app_context)


def test_user_names_are_unique_regardless_of_case(ada: AppContext) -> None:
    with pytest.raises(PersonError, match="already"):
        people.add_user(ada, "ADA", PASSWORD, Role.LEAD, by="root")
    with pytest.raises(AnnotatorError):
        people.add_user(ada, "  ", PASSWORD, Role.LEAD, by="root")


@pytest.mark.parametrize("password", ["", "x" * 9, "x" * 1001])
def test_a_password_must_have_a_valid_length(ada: AppContext, password: str) -> None:
    for change in (
        lambda: people.add_user(ada, "ben", password, Role.LEAD, by="root"),
        lambda: people.set_password(ada, "ada", password, by="root"),
    ):
        with pytest.raises(PersonError, match="use 10 to 1000"):
            change()
    assert len(people.list_users(ada)) == 1


def test_a_session_belongs_to_its_user_until_it_ends(ada: AppContext) -> None:
    first, second = (people.sign_in(ada, name, PASSWORD, HERE) for name in ("ada", " ADA "))
    assert people.user_of(ada, first.cookie) == people.user_of(ada, second.cookie) == first.user
    assert (first.user.name, first.user.role) == ("Ada", Role.ADMIN)
    people.sign_out(ada, first.cookie, HERE)
    assert people.user_of(ada, first.cookie) is None
    assert people.user_of(ada, second.cookie) is not None
    third = people.sign_in(ada, "ada", PASSWORD, HERE)
    people.sign_out(ada, third.cookie, HERE, everywhere=True)
    assert people.user_of(ada, second.cookie) is None
    people.sign_out(ada, third.cookie, HERE)  # has ended already
    assert acts(ada)[-2:] == [LoggedAct.SIGN_IN, LoggedAct.SIGN_OUT_EVERYWHERE]


@pytest.mark.parametrize(
    "end",
    [
        lambda opened: people.remove_user(opened, "ada", by="root"),
        lambda opened: people.set_password(opened, "ada", "another password", by="root"),
    ],
    ids=["removed", "password"],
)
def test_sessions_end_with_the_user_and_with_the_password(ada: AppContext, end: Callable[[AppContext], None]) -> None:
    cookie = people.sign_in(ada, "ada", PASSWORD, HERE).cookie
    end(ada)
    assert people.user_of(ada, cookie) is None
    with ada.database.read() as session:
        assert session.scalars(select(LoginSessionRow)).all() == []


def test_an_expired_session_is_removed_by_the_next_sign_in(ada: AppContext) -> None:
    brief = replace(ada, settings=ada.settings.model_copy(update={"session_hours": 1.0}))
    signed_in = people.sign_in(brief, "ada", PASSWORD, HERE)
    assert signed_in.seconds == 3600
    with ada.database.write() as session:
        session.execute(update(LoginSessionRow).values(expires_at=datetime.now(UTC) - timedelta(seconds=1)))
    assert people.user_of(ada, signed_in.cookie) is None
    people.sign_in(ada, "ada", PASSWORD, HERE)
    with ada.database.read() as session:
        assert len(session.scalars(select(LoginSessionRow)).all()) == 1


def test_only_the_issued_cookie_opens_a_session(ada: AppContext) -> None:
    assert people.user_of(ada, "x.y") is None  # before there is a key
    cookie = people.sign_in(ada, "ada", PASSWORD, HERE).cookie
    secret, _, signature = cookie.rpartition(".")
    with ada.database.read() as session:
        stored = session.scalars(select(LoginSessionRow.secret_hash)).one()
    others = [
        "",
        ".",
        secret,
        f"{secret}.",
        f"{secret[:-1]}.{signature}",
        f"{secret}.{signature[:-1]}",
        f"{stored}.x",
        "ü.x",
    ]
    for forged in others:
        assert people.user_of(ada, forged) is None, forged
    with ada.database.write() as session:
        session.execute(update(SigningKeyRow).values(key="another"))
    assert people.user_of(ada, cookie) is None


def test_a_wrong_password_and_an_unknown_name_give_the_same_error(ada: AppContext) -> None:
    told = set()
    for name, password in (("ada", "wrong password"), ("eve", PASSWORD), ("ada", ""), ("", ""), ("ada", "x" * 5000)):
        with pytest.raises(PersonError) as refused:
            people.sign_in(ada, name, password, HERE)
        told.add(str(refused.value))
    assert len(told) == 1


def fail(app_context: AppContext, name: str, address: str, times: int) -> None:
    for _ in range(times):
        with pytest.raises(PersonError):
            people.sign_in(app_context, name, "wrong password", address)


def test_the_right_password_is_refused_after_ten_failures_of_a_name(ada: AppContext) -> None:
    fail(ada, "ada", HERE, MOST_FAILED_OF_NAME - 1)
    people.sign_in(ada, "ada", PASSWORD, HERE)
    fail(ada, "ADA ", "10.0.0.2", 1)
    with pytest.raises(SignInRefusedError, match="wait 15 minutes"):
        people.sign_in(ada, "ada", PASSWORD, HERE)
    assert acts(ada).count(LoggedAct.SIGN_IN_FAILED) == MOST_FAILED_OF_NAME
    assert acts(ada).count(LoggedAct.SIGN_IN_REFUSED) == 1
    with ada.database.write() as session:
        session.execute(update(LogEntryRow).values(happened_at=datetime.now(UTC) - timedelta(minutes=16)))
    assert people.sign_in(ada, "ada", PASSWORD, HERE).user.name == "Ada"


def test_every_name_is_refused_after_fifty_failures_from_an_address(
    ada: AppContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people, "_matches", lambda _hash, password: password == PASSWORD)  # 50 hashes take seconds
    for number in range(MOST_FAILED_OF_ADDRESS):
        fail(ada, f"name {number}", HERE, 1)
    with pytest.raises(SignInRefusedError):
        people.sign_in(ada, "ada", PASSWORD, HERE)
    assert people.sign_in(ada, "ada", PASSWORD, "10.0.0.2").user.name == "Ada"


def test_concurrent_attempts_are_counted_one_by_one(ada: AppContext, monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[str] = []
    monkeypatch.setattr(people, "_matches", lambda _hash, password: bool(checked.append(password)))

    def attempt(number: int) -> None:
        with pytest.raises(PersonError):
            people.sign_in(ada, "ada", f"guess {number}", HERE)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(attempt, range(MOST_FAILED_OF_NAME * 3)))
    assert len(checked) == MOST_FAILED_OF_NAME


def test_the_last_admin_can_be_neither_removed_nor_demoted(ada: AppContext) -> None:
    people.add_user(ada, "ben", PASSWORD, Role.LEAD, by="Ada")
    for change in (
        lambda: people.remove_user(ada, "ada", by="root"),
        lambda: people.set_role(ada, "ada", Role.LEAD, by="root"),
    ):
        with pytest.raises(PersonError, match="only admin"):
            change()
    people.set_role(ada, "ben", Role.ADMIN, by="Ada")
    people.set_role(ada, "ada", Role.ANNOTATOR, by="ben")
    entry = people.log_entries(ada, [LoggedAct.ROLE_CHANGED], 1)[0]
    assert (entry.actor, entry.subject, entry.details) == ("ben", "Ada", {"before": "admin", "after": "annotator"})


def test_changing_a_password_ends_the_other_sessions_of_the_user(ada: AppContext) -> None:
    here, there = (people.sign_in(ada, "ada", PASSWORD, HERE) for _ in range(2))
    with pytest.raises(PersonError):
        people.change_own_password(ada, here.user, "wrong password", "a new password", HERE)
    with pytest.raises(PersonError, match="10 to 1000"):
        people.change_own_password(ada, here.user, PASSWORD, "short", HERE)
    assert people.user_of(ada, there.cookie) is not None
    changed = people.change_own_password(ada, here.user, PASSWORD, "a new password", HERE)
    assert people.user_of(ada, here.cookie) is people.user_of(ada, there.cookie) is None
    assert people.user_of(ada, changed.cookie) == changed.user


def test_no_secret_is_stored_or_logged(ada: AppContext, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        cookie = people.sign_in(ada, "ada", PASSWORD, HERE).cookie
        fail(ada, "ada", HERE, 1)
        fail(ada, f"{PASSWORD} 2", HERE, 2)  # a password in the field of the name
    assert len({one.subject for one in people.log_entries(ada, [LoggedAct.SIGN_IN_FAILED], 2)}) == 1
    secret = cookie.rpartition(".")[0]
    with ada.database.read() as session:
        rows = [session.scalars(select(row)).all() for row in (UserRow, LoginSessionRow, LogEntryRow)]
        stored = repr([[vars(one) for one in found] for found in rows])
        assert session.scalars(select(UserRow.password_hash)).one().startswith("$argon2id$")
    for hidden in (PASSWORD, "wrong password", secret):
        assert hidden not in stored
        assert hidden not in caplog.text


def test_bulk_acts_and_exports_are_logged_in_their_own_transactions(app_context: AppContext) -> None:
    fill(app_context, 8, suspicious=1)
    chosen = FindingFilter(round_id=1, kinds=frozenset({FindingKind.SUSPICIOUS}), min_confidence=0.0)
    with pytest.raises(OutfoldError):
        reviews.accept_all(app_context, chosen, by="ada", expected=10_000)
    assert acts(app_context) == []
    count = reviews.count(app_context, chosen)
    for _ in range(2):  # the second is a retry
        reviews.accept_all(app_context, chosen, by="ada", expected=count, key=ActKey("tab", 1))
    queued = exports.add_export(app_context, ExportRequest(dataset_id=1, by="ben"))
    export, bulk = people.log_entries(app_context, [], 10)
    assert (bulk.act, bulk.actor) == (LoggedAct.BULK_ACT, "ada")
    assert bulk.details == {"round": 1, "findings": count, "certified": False}
    assert (export.act, export.actor, export.subject) == (LoggedAct.EXPORT, "ben", bulk.subject)
    assert (export.details["export"], export.details["to"]) == (queued.id, queued.path)
