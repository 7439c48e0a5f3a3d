"""Simulated people at the real web app, the app and its worker as processes, and checks of the final database.

A person signs in, opens pages through Streamlit's websocket and acts through the app's own routes, as the browser's
outbox does: an act keeps its number until it is answered, so it may arrive twice.
"""

import http.client
import itertools
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import func, select
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

from app.services.app_context import AppContext
from app.services.rounds import jobs as rounds
from app.settings import Settings
from core.config import RoundConfig
from core.types import RoundError, StorageError
from db.models import ChangesetRow, DecisionRow, FindingRow
from tools.fixtures.postgres import free_port

ROOT = Path(__file__).parents[1]
TIMEOUT_SECONDS = 60.0
START_SECONDS = 180.0
RETRY_SECONDS = 0.5
STATES_SECONDS = 1.5  # seconds between two checks of a page for acts of others
VERDICTS = ("accept", "keep", "exclude")


@dataclass
class Tally:
    """Times and faults of all people together; seconds."""

    verdicts: list[float] = field(default_factory=list)
    reruns: list[float] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    refused: int = 0  # answers that the database or its lock was unavailable


class Person:
    """One person with one open page; judges every `step`-th finding from `first` on, each once."""

    def __init__(self, port: int, name: str, tally: Tally, first: int, step: int, *, patient: bool = False) -> None:
        """Prepare; `patient`: an act that is not answered is sent again until it is."""
        self.name = name
        self.said: dict[int, str] = {}  # by finding, from the answers
        self.changesets: dict[int, int | None] = {}  # answered acts, and their finding
        self._port, self._tally, self._patient = port, tally, patient
        self._findings = itertools.count(first, step)
        self._seq = itertools.count(1)
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
        self._socket: ClientConnection | None = None

    def sign_in(self) -> None:
        """Sign in and open the review page."""
        self._post("/me", {"name": self.name})
        self.open_page("review", "round=1")
        self._get("/rounds/1")
        self._get("/findings?round=1")

    def work(self, seconds: float) -> None:
        """Judge a card each second; undo, open pages and judge random cards at times."""
        began, state, looked = time.monotonic(), self._get("/state")["state"], 0.0
        for number in itertools.count(1):
            due = began + number
            if time.monotonic() > began + seconds:
                return
            time.sleep(max(0.0, due - time.monotonic()))
            self.judge(VERDICTS[number % len(VERDICTS)], twice=number % 10 == 0)
            if number % 15 == 0:
                self.undo()
            if number % 20 == 0:
                self.open_page("review" if number % 40 else "rounds", "round=1")
                self._get("/findings?round=1")
            if number % 45 == 0:
                self.judge_random_card()
            if time.monotonic() - looked >= STATES_SECONDS:
                looked = time.monotonic()
                state = self._get(f"/state?round=1&after={state}&client={self.name}")["state"]

    def only_judge(self, end: threading.Event, pause_seconds: float) -> None:
        """Judge cards until the end, and take some back."""
        self._post("/me", {"name": self.name})
        for number in itertools.count(1):
            if end.wait(pause_seconds):
                return
            self.judge(VERDICTS[number % len(VERDICTS)], twice=number % 10 == 0)
            if number % 15 == 0:
                self.undo()

    def judge(self, verdict: str, *, twice: bool = False) -> None:
        """Judge the next card; `twice`: the answer is lost on its way, and the act arrives again."""
        finding = next(self._findings)
        body = self._act(op="decide", decisions=[{"finding": finding, "verdict": verdict}])
        began = time.monotonic()
        answer = self._post("/acts", body)
        self._tally.verdicts.append(time.monotonic() - began)
        self.said[finding] = answer["items"][0]["status"]
        self.changesets[answer["changeset"]] = finding
        if twice and self._post("/acts", body)["changeset"] != answer["changeset"]:
            self._tally.faults["an act that arrived again was another act"] += 1

    def undo(self) -> None:
        """Take the newest own act back."""
        answer = self._post("/acts", self._act(op="undo"))
        self.changesets[answer["changeset"]] = None
        finding = self.changesets.get(answer["undone"]["changeset"])
        if finding is not None:
            self.said[finding] = "open"

    def judge_random_card(self) -> None:
        """Judge a card of the random sample of all findings, blind."""
        audit = self._post("/audits", {"round": 1, "filter": {}})["id"]
        hand = self._post("/audits/cards", {"round": 1, "audit": audit, "limit": 1})["items"]
        for card in hand:
            body = self._act(op="decide", decisions=[{"finding": card["id"], "verdict": "keep"}])
            answer = self._post("/acts", {**body, "audit": audit, "blind": True})
            self.changesets[answer["changeset"]] = None

    def open_page(self, page: str, query: str = "") -> None:
        """Let Streamlit run a page's script, and wait until it has."""
        message = BackMsg()
        message.rerun_script.page_name = page
        message.rerun_script.query_string = query
        began = time.monotonic()
        if self._socket is None:
            self._socket = connect(
                f"ws://127.0.0.1:{self._port}/_stcore/stream",
                subprotocols=[Subprotocol("streamlit")],
                additional_headers={"Cookie": f"outfold_name={self.name}"},
                origin=Origin(f"http://127.0.0.1:{self._port}"),
                max_size=None,
                open_timeout=TIMEOUT_SECONDS,
                ping_interval=None,  # a page asks for nothing while it waits, either
            )
        self._socket.send(message.SerializeToString())
        heard = ForwardMsg()
        while heard.WhichOneof("type") != "script_finished":
            received = self._socket.recv(TIMEOUT_SECONDS)
            assert isinstance(received, bytes)
            heard.ParseFromString(received)
        self._tally.reruns.append(time.monotonic() - began)

    def close(self) -> None:
        """Close the page."""
        self._connection.close()
        if self._socket is not None:
            self._socket.close()

    def _act(self, **body: Any) -> dict[str, Any]:  # noqa: ANN401
        return {"client": self.name, "seq": next(self._seq), "round": 1, **body}

    def _get(self, path: str) -> Any:  # noqa: ANN401
        return self._ask("GET", path, None)

    def _post(self, path: str, body: dict[str, Any]) -> Any:  # noqa: ANN401
        return self._ask("POST", path, json.dumps(body))

    def _ask(self, method: str, path: str, body: str | None) -> Any:  # noqa: ANN401
        headers = {"X-Outfold": "1", "Cookie": f"outfold_name={self.name}", "Content-Type": "application/json"}
        failed = 0
        while True:
            try:
                self._connection.request(method, f"/outfold{path}", body, headers)
                answer = self._connection.getresponse()
                text = answer.read()
            except (OSError, http.client.HTTPException):
                self._connection.close()
                if failed and not self._patient:  # a browser opens a connection again that was closed while idle
                    raise
                time.sleep(RETRY_SECONDS if failed else 0.0)
                failed += 1
                continue
            if answer.status == http.HTTPStatus.OK:
                return json.loads(text)
            if answer.status == http.HTTPStatus.SERVICE_UNAVAILABLE:
                self._tally.refused += 1
                time.sleep(RETRY_SECONDS)
                continue
            message = f"{method} {path} was answered {answer.status}: {text[:300]!r}"
            raise RuntimeError(message)


def work_at_once(people: list[Person], seconds: float) -> None:
    """Sign in all users, then let them work for this time, spread over a second; raises the first error of any."""
    stopped: list[BaseException] = []
    signed_in = threading.Barrier(len(people))

    def work(place: int, person: Person) -> None:
        try:
            person.sign_in()
            signed_in.wait(TIMEOUT_SECONDS)
            time.sleep(place / len(people))
            person.work(seconds)
        except BaseException as error:  # noqa: BLE001  # told at the end, with the others' figures
            stopped.append(error)
        finally:
            person.close()

    threads = [threading.Thread(target=work, args=one) for one in enumerate(people)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if stopped:
        raise stopped[0]


def count_lost(app_context: AppContext, people: list[Person]) -> int:
    """Return the number of answered acts that are not stored, and of cards whose status differs from the answers."""
    lost = 0
    with app_context.database.read() as session:
        stored = set(session.scalars(select(ChangesetRow.id)))
        chance = set(
            session.scalars(
                select(DecisionRow.finding_id)
                .join(ChangesetRow, ChangesetRow.id == DecisionRow.changeset_id)
                .where(ChangesetRow.audit_id.is_not(None))
            )
        )  # two people may have judged these
        statuses = {
            row.id: row.status.name.lower() for row in session.execute(select(FindingRow.id, FindingRow.status))
        }
    for person in people:
        lost += sum(number not in stored for number in person.changesets)
        lost += sum(statuses[card] != status for card, status in person.said.items() if card not in chance)
    return lost


def count_doubled(app_context: AppContext) -> int:
    """Count the acts that are stored more than once or have more than one decision on a card."""
    act = select(ChangesetRow.client_id, ChangesetRow.client_seq).where(ChangesetRow.client_id.is_not(None))
    decided = select(DecisionRow.changeset_id, DecisionRow.finding_id)
    with app_context.database.read() as session:
        acts = session.execute(act.group_by(ChangesetRow.client_id, ChangesetRow.client_seq).having(func.count() > 1))
        cards = session.execute(
            decided.group_by(DecisionRow.changeset_id, DecisionRow.finding_id).having(func.count() > 1)
        )
        return len(acts.all()) + len(cards.all())


@contextmanager
def serving(settings: Settings) -> Iterator[int]:
    """Serve an installation without a worker while the block runs; yields the port."""
    port = free_port()
    server = start_web(settings, port)
    try:
        wait_for(port, server)
        yield port
    finally:
        server.terminate()
        server.wait(30)


def start_web(settings: Settings, port: int) -> subprocess.Popen[bytes]:
    """Start the web app."""
    command = [sys.executable, "-m", "app", "serve", "--port", str(port)]
    return subprocess.Popen(command, cwd=ROOT, env=_environment(settings), stdout=subprocess.DEVNULL)


def wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    """Wait until the web app answers."""
    until = time.monotonic() + START_SECONDS
    while server.poll() is None and time.monotonic() < until:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
        try:
            connection.request("GET", "/outfold/health")
            connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            time.sleep(0.1)
        else:
            return
        finally:
            connection.close()
    raise RuntimeError("the app did not start; run `python -m app serve` to see why")


def start_worker(settings: Settings) -> subprocess.Popen[bytes]:
    """Start a worker that ends with this process."""
    command = [sys.executable, "-m", "app.worker.main", "--ends-with-parent"]
    return subprocess.Popen(command, cwd=ROOT, env=_environment(settings), stdin=subprocess.PIPE)


@contextmanager
def rounds_in_a_row(app_context: AppContext, dataset_id: int, config: RoundConfig) -> Iterator[None]:
    """Keep a round of a dataset running during the block, even while the database is temporarily unreachable."""
    end = threading.Event()
    refused: list[RoundError] = []

    def keep() -> None:
        while not end.wait(RETRY_SECONDS) and not refused:
            with suppress(StorageError):
                if all(one.status.ended for one in rounds.list_rounds(app_context, dataset_id)):
                    try:
                        rounds.start_round(app_context, dataset_id, config, "bench")
                    except RoundError as error:
                        refused.append(error)

    thread = threading.Thread(target=keep)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()
    if refused:
        raise refused[0]


def _environment(settings: Settings) -> dict[str, str]:
    return {**os.environ, **settings.as_environment()}
