"""The same review on PostgreSQL, through the real migrations; skipped with its reason where no server can be had."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import create_engine, inspect

from app.services import datasets, jobs, members, people, reviews
from app.services.app_context import AppContext, open_app
from app.services.exports import jobs as exports
from app.services.exports.jobs import ExportRequest
from app.services.reviews import ActKey, Choice, audits
from app.services.rounds import jobs as rounds
from app.settings import Settings
from core.config import RoundConfig
from core.types import FindingFilter, FindingKind, JobStatus, LoggedAct, Order, Role, Status, Verdict
from db.engine import alembic_config
from db.visibility import seen_by
from tests.app.services.reviewed import add_round, import_folder
from tests.app.services.test_reviews import assert_projections_hold

pytest_plugins = ["tests.postgres"]

PASSWORD = "correct horse battery"
SUSPICIOUS = FindingFilter(round_id=1, kinds=frozenset({FindingKind.SUSPICIOUS}))


def opened(home: Path, url: str) -> AppContext:
    return open_app(Settings(home=home, database_url=url, engine_url=url, demo=False, embedded_worker=False))


@pytest.fixture
def installation(postgres_url: str, tmp_path: Path) -> Iterator[AppContext]:
    made = opened(tmp_path / "home", postgres_url)
    yield made
    made.database.close()


@pytest.fixture
def digits(installation: AppContext, digits_folder: Path) -> AppContext:
    add_round(installation, import_folder(installation, digits_folder))
    return installation


def statuses(app_context: AppContext) -> dict[Status, int]:
    return reviews.counts(app_context, FindingFilter(round_id=1)).by_status


def test_migrations_match_the_models_and_can_be_reverted(postgres_url: str) -> None:
    script = f"from db.engine import migrate; migrate({postgres_url!r})"
    started = [subprocess.Popen([sys.executable, "-c", script]) for _ in range(2)]  # as web app and worker do
    assert [process.wait(60) for process in started] == [0, 0]
    command.check(alembic_config(postgres_url))
    command.downgrade(alembic_config(postgres_url), "base")
    engine = create_engine(postgres_url)
    assert inspect(engine).get_table_names() == ["alembic_version"]
    engine.dispose()


@pytest.mark.usefixtures("kept")
def test_a_review_works_from_import_to_export(digits: AppContext, digits_folder: Path) -> None:
    (card,) = datasets.list_datasets(digits)
    assert card.images == 300
    assert import_folder(digits, digits_folder) == card.dataset.id, "importing again changes nothing"
    for order in Order:
        page = reviews.page(digits, SUSPICIOUS, order, limit=40)
        assert len(page.items) == 40
        rest = reviews.page(digits, SUSPICIOUS, order, page.next, limit=100)
        assert len({finding.id for finding in [*page.items, *rest.items]}) == 100
    first = reviews.page(digits, SUSPICIOUS, limit=5).items
    said = [Verdict.ACCEPT, Verdict.KEEP, Verdict.AMBIGUOUS, Verdict.EXCLUDE]
    for seq, (finding, verdict) in enumerate(zip(first, said, strict=False), start=1):
        for _ in range(2):  # the second is a retry
            reviews.decide(digits, [Choice(finding.id, verdict)], by="ada", key=ActKey("tab", seq))
    reviews.decide(digits, [Choice(first[4].id, Verdict.RELABEL, 9)], by="bob")
    assert_projections_hold(digits)

    sure = FindingFilter(round_id=1, kinds=SUSPICIOUS.kinds, min_confidence=0.7)
    seen = reviews.preview(digits, sure)
    saved = reviews.accept_all(digits, sure, by="ada", expected=seen.count)
    assert saved.size == seen.count > 20
    assert statuses(digits)[Status.BULK] == seen.count
    assert_projections_hold(digits)
    assert reviews.undo(digits, 1, by="ada").changeset is not None
    assert Status.BULK not in statuses(digits)
    reviews.redo(digits, 1, by="ada")
    assert statuses(digits)[Status.BULK] == seen.count
    assert statuses(digits)[Status.RELABEL] == 1
    assert_projections_hold(digits)

    queued = exports.add_export(digits, ExportRequest(dataset_id=1))
    done = exports.run_export(digits, queued.id)
    assert done.status is JobStatus.DONE, done.message


@pytest.mark.usefixtures("kept")
def test_concurrent_bulk_acts_and_verdicts_lose_nothing(digits: AppContext) -> None:
    chosen = [finding.id for finding in reviews.page(digits, SUSPICIOUS, limit=8).items]

    def keep(finding_id: int) -> None:
        reviews.decide(digits, [Choice(finding_id, Verdict.KEEP)], by="bob")

    with ThreadPoolExecutor(9) as pool:
        acts = [pool.submit(reviews.accept_all, digits, SUSPICIOUS, by="ada"), *(pool.submit(keep, i) for i in chosen)]
        for act in acts:
            act.result()
    assert statuses(digits) == {Status.KEEP: 8, Status.BULK: 92}
    assert_projections_hold(digits)


def test_the_job_engine_keeps_its_tables_in_postgresql(digits: AppContext) -> None:
    started = rounds.start_round(digits, 1, RoundConfig(folds=2), "ada")
    assert jobs.is_active(digits, jobs.round_job(started.id))
    assert rounds.cancel_round(digits, started.id)
    assert not jobs.is_active(digits, jobs.round_job(started.id))


def test_a_random_sample_certifies_a_bulk_act(digits: AppContext) -> None:
    audit = audits.start(digits, SUSPICIOUS, by="ada")
    hand, _ = audits.hand_out(digits, audit.audit.id, by="ada", limit=audit.evidence.flawless_needed or 0)
    choices = [Choice(finding.id, Verdict.ACCEPT) for _, finding in hand]
    reviews.decide(digits, choices, by="ada", audit_id=audit.audit.id)
    seen = audits.view_audit(digits, audit.audit.id)
    assert seen.certificate is not None
    assert seen.estimate is not None
    saved = reviews.accept_all(digits, SUSPICIOUS, by="ada", certified=True)
    assert saved.size == seen.audit.size - seen.judged


def test_a_merge_moves_labels_and_findings_and_its_undo_restores_them(digits: AppContext) -> None:
    first = reviews.page(digits, SUSPICIOUS, limit=3).items
    reviews.decide(digits, [Choice(one.id, Verdict.RELABEL, 3) for one in first], by="ada")
    before = reviews.page(digits, SUSPICIOUS, limit=200).items
    told = reviews.preview_merge(digits, 1, [3], 2)
    reviews.merge_classes(digits, 1, [3], 2, by="ada")
    assert [one.label for one in reviews.findings(digits, [one.id for one in first])] == [2, 2, 2]
    assert reviews.count(digits, SUSPICIOUS) == len(before) - told.settled_findings
    reviews.accept_all(digits, SUSPICIOUS, by="ada")
    assert {use.name for use in reviews.class_uses(digits, 1)} == {one for one in "0123456789" if one != "3"}
    reviews.undo(digits, 1, by="ada")
    reviews.undo(digits, 1, by="ada")
    assert reviews.page(digits, SUSPICIOUS, limit=200).items == before
    assert_projections_hold(digits)


def test_users_sign_in_and_their_acts_are_logged(installation: AppContext) -> None:
    people.add_user(installation, "Ada", PASSWORD, Role.ADMIN, by="root")
    signed_in = people.sign_in(installation, "ada", PASSWORD, "10.0.0.1")
    assert people.user_of(installation, signed_in.cookie) == signed_in.user
    with pytest.raises(people.PersonError):
        people.sign_in(installation, "ada", "wrong password", "10.0.0.1")
    people.set_role(installation, "ada", Role.ADMIN, by="ada")
    people.sign_out(installation, signed_in.cookie, "10.0.0.1", everywhere=True)
    assert people.user_of(installation, signed_in.cookie) is None
    assert [one.act for one in people.log_entries(installation, [], 9)] == [
        LoggedAct.SIGN_OUT_EVERYWHERE, LoggedAct.ROLE_CHANGED, LoggedAct.SIGN_IN_FAILED, LoggedAct.SIGN_IN,
        LoggedAct.USER_ADDED,
    ]  # fmt: skip
    people.remove_user(installation, "ada", by="root")
    assert not people.has_login(installation)


def test_only_members_see_a_restricted_dataset(digits: AppContext) -> None:
    for name, role in (("Ada", Role.ADMIN), ("Ben", Role.LEAD), ("Eve", Role.LEAD)):
        people.add_user(digits, name, PASSWORD, role, by="root")
    members.set_members(digits, 1, ["ben"], by="Ada")
    for name, seen in (("Ben", {1}), ("Eve", set()), (None, {1})):
        with seen_by(name):
            assert datasets.dataset_ids(digits) == seen
            assert {one.dataset_id for one in rounds.list_rounds(digits)} == seen
            assert bool(reviews.page(digits, SUSPICIOUS, limit=3).items) is bool(seen)
            assert [info.id for info in datasets.overview(digits).unfinished] == []
    people.remove_user(digits, "Ben", by="Ada")
    assert members.membership(digits, 1).members == ()


def test_a_user_of_a_provider_is_added_and_recognised(installation: AppContext) -> None:
    context = replace(installation, settings=installation.settings.model_copy(update={"oidc_domains": "example.org"}))
    identity = people.Identity("https://login.example.org 1", "ada@example.org", None)
    first = people.sign_in_by_identity(context, identity, "10.0.0.1")
    again = people.sign_in_by_identity(context, replace(identity, email="lovelace@example.org"), "10.0.0.1")
    assert first.user == again.user
    assert people.user_of(context, again.cookie) == again.user
