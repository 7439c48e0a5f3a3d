"""Promises 6 and 7 on a real file, with real threads, processes and a killed server."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from app.services import reviews
from app.services.app_context import AppContext, open_app
from app.services.reviews import ActKey, Choice
from app.settings import Settings
from core.types import Decision, FindingFilter, Status, Verdict
from db.queries import decisions
from tools.fixtures.reviews import fill

pytestmark = pytest.mark.usefixtures("kept")

ROOT = Path(__file__).parents[3]
COUNT = 40
EACH = 8
EVERYTHING = FindingFilter(round_id=1, kinds=frozenset())
JUDGE = """
import sys
from pathlib import Path
from app.services import reviews
from app.services.app_context import open_app
from app.settings import Settings
from core.types import Verdict

home, name, first, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
app_context = open_app(Settings(home=Path(home)))
for finding in range(first, first + count):
    reviews.decide(app_context, [reviews.Choice(finding, Verdict.EXCLUDE)], by=name, key=reviews.ActKey(name, finding))
"""
SERVE = """
import sys
from pathlib import Path
import uvicorn
from starlette.applications import Starlette
from app.routes import routes
from app.services.app_context import open_app
from app.settings import Settings

app_context = open_app(Settings(home=Path(sys.argv[1])))
uvicorn.run(Starlette(routes=routes(lambda: app_context)), fd=int(sys.argv[2]), log_level="error")
"""


@pytest.fixture
def filled(app_context: AppContext, kept: str) -> AppContext:
    """Return an installation with a round: each finding is a row, or none is."""
    fill(app_context, COUNT, suspicious=0 if kept == "file" else 1)
    return app_context


def at_once(*acts: Callable[[], Any]) -> list[Any]:
    """Begin all acts in the same moment, each in a thread of its own, and return their answers."""
    gate = Barrier(len(acts))

    def begin(act: Callable[[], Any]) -> Any:
        gate.wait()
        return act()

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(begin, acts))


def stored(app_context: AppContext, finding_id: int) -> list[Decision]:
    sample_id = reviews.findings(app_context, [finding_id])[0].sample_id
    with app_context.database.read() as session:
        return decisions.decisions_of_sample(session, sample_id)


def test_one_act_sent_many_times_concurrently_is_stored_once(filled: AppContext) -> None:
    def send() -> reviews.Saved:
        return reviews.decide(filled, [Choice(1, Verdict.ACCEPT)], by="ada", key=ActKey("tab", 1))

    answers = at_once(*[send] * 6)
    assert len({answer.changeset for answer in answers}) == 1
    assert len(stored(filled, 1)) == 1


def test_one_bulk_act_sent_twice_concurrently_is_stored_once(filled: AppContext) -> None:
    def send() -> reviews.Saved:
        key = ActKey("tab", 1)
        return reviews.accept_all(filled, EVERYTHING, by="ada", expected=COUNT, key=key)

    first, second = at_once(send, send)
    assert first == second
    assert reviews.counts(filled, EVERYTHING).by_status == {Status.BULK: COUNT}


def test_a_double_click_is_one_decision(filled: AppContext) -> None:
    at_once(
        *[
            lambda seq=seq: reviews.decide(filled, [Choice(1, Verdict.KEEP)], by="ada", key=ActKey("tab", seq))
            for seq in (1, 2)
        ]
    )
    assert len(stored(filled, 1)) == 1


def test_two_people_on_one_card_make_one_decision_each_and_the_later_counts(filled: AppContext) -> None:
    said = {"ada": Verdict.KEEP, "bob": Verdict.EXCLUDE}
    at_once(*[lambda by=by: reviews.decide(filled, [Choice(1, said[by])], by=by, key=ActKey(by, 1)) for by in said])
    made = stored(filled, 1)
    assert {(one.annotator, one.verdict) for one in made} == set(said.items())
    stands = reviews.findings(filled, [1])[0]
    assert (stands.annotator, stands.status) == (made[-1].annotator, Status[made[-1].verdict.name])


def test_a_concurrent_bulk_act_never_loses_verdicts(filled: AppContext) -> None:
    ids = range(1, 9)
    at_once(
        lambda: reviews.accept_all(filled, EVERYTHING, by="ada"),
        *[lambda one=one: reviews.decide(filled, [Choice(one, Verdict.KEEP)], by="bob") for one in ids],
    )
    counted = reviews.counts(filled, EVERYTHING).by_status
    assert counted == {Status.KEEP: len(ids), Status.BULK: COUNT - len(ids)}


def test_concurrent_writers_lose_nothing(filled: AppContext) -> None:
    home = str(filled.settings.home)
    people = ["ada", "bob"]
    running = [
        subprocess.Popen([sys.executable, "-c", JUDGE, home, name, str(1 + EACH * place), str(EACH)], cwd=ROOT)
        for place, name in enumerate(people)
    ]
    bulk = reviews.accept_all(filled, replace(EVERYTHING, min_confidence=0.9), by="max")
    assert [process.wait(60) for process in running] == [0, 0]
    counted = reviews.counts(filled, EVERYTHING).by_status
    assert counted[Status.EXCLUDE] == EACH * len(people)
    reviews.undo(filled, 1, by="max", changeset_id=bulk.changeset)
    counted = reviews.counts(filled, EVERYTHING).by_status
    assert counted == {Status.EXCLUDE: EACH * len(people), Status.OPEN: COUNT - EACH * len(people)}


def test_an_acknowledged_verdict_survives_a_killed_server(filled: AppContext) -> None:
    filled.database.close()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        descriptor = listening.fileno()
        command = [sys.executable, "-c", SERVE, str(filled.settings.home), str(descriptor)]
        server = subprocess.Popen(command, cwd=ROOT, pass_fds=[descriptor])
        connection = http.client.HTTPConnection(*listening.getsockname(), timeout=60)
        body = {"client": "tab", "seq": 1, "round": 1, "op": "decide", "decisions": [{"finding": 1, "verdict": "keep"}]}
        headers = {"X-Outfold": "1", "Cookie": "outfold_name=ada"}
        connection.request("POST", "/outfold/acts", json.dumps(body), headers)
        answer = json.loads(connection.getresponse().read())
        os.kill(server.pid, signal.SIGKILL)
        server.wait()
    assert answer["items"][0]["status"] == "keep"
    again = open_app(Settings(home=filled.settings.home))
    assert [(one.verdict, one.annotator) for one in stored(again, 1)] == [(Verdict.KEEP, "ada")]
    assert reviews.findings(again, [1])[0].status is Status.KEEP
    again.database.close()
