"""The audit of requirements, by pip-audit against a server of advisories on loopback."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from tools import audit
from tools.fixtures.postgres import free_port

ROOT = Path(__file__).parents[2]
ADVISORY = {
    "id": "GHSA-0000-test",
    "summary": "a fault",
    "affected": [
        {
            "package": {"name": "jinja2", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "3.1.6"}]}],
        }
    ],
}


class Advisories(BaseHTTPRequestHandler):
    """Answers as osv.dev does: jinja2 2.10 has one advisory, all else none."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        has_fault = asked["package"] == {"name": "jinja2", "ecosystem": "PyPI"} and asked["version"] == "2.10"
        status = 503 if self.path == "/broken" else 200
        body = b"<html>" if self.path == "/portal" else json.dumps({"vulns": [ADVISORY]} if has_fault else {}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Keep the tests' output clean."""


@pytest.fixture
def server() -> Iterator[str]:
    """Return the address of a server of advisories."""
    serving = ThreadingHTTPServer(("127.0.0.1", 0), Advisories)
    thread = threading.Thread(target=serving.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{serving.server_address[1]}"
    serving.shutdown()
    thread.join()
    serving.server_close()


@pytest.fixture
def pinned(tmp_path: Path) -> Path:
    path = tmp_path / "requirements.txt"
    path.write_text("jinja2==3.1.6\ntyper==0.12.0 ; python_full_version >= '3'\n")
    return path


def test_requirements_without_advisories_pass(server: str, pinned: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.main(["--url", server, str(pinned)]) == 0
    assert capsys.readouterr().out == "audited 2 requirements, 0 with known vulnerabilities\n"


def test_a_known_vulnerability_fails_with_its_cure_unless_accepted(
    server: str, pinned: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pinned.write_text("jinja2==2.10\n")
    assert audit.main(["--url", server, str(pinned)]) == 1
    assert "jinja2 2.10: GHSA-0000-test, fixed in 3.1.6" in capsys.readouterr().out
    monkeypatch.setattr(audit, "ACCEPTED", {"GHSA-0000-test": "it concerns templates of strangers"})
    assert audit.main(["--url", server, str(pinned)]) == 0


@pytest.mark.parametrize("path", ["", "/broken", "/portal"])
def test_an_unreachable_advisory_service_passes_and_reports_that_nothing_was_audited(
    path: str, server: str, pinned: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"{server}{path}" if path else f"http://127.0.0.1:{free_port()}"
    assert audit.main(["--url", url, str(pinned)]) == 0
    assert capsys.readouterr().out.startswith("not audited: the advisories cannot be reached (")


def test_a_fault_of_the_audit_itself_fails(tmp_path: Path, server: str) -> None:
    assert audit.main(["--url", server, str(tmp_path / "none.txt")]) == 1
    (tmp_path / "open.txt").write_text("jinja2\n")
    assert audit.main(["--url", server, str(tmp_path / "open.txt")]) == 1


def test_every_acceptance_has_a_reason_and_ci_audits_after_the_tests() -> None:
    assert all(reason.strip() for reason in audit.ACCEPTED.values())
    script = (ROOT / ".ci" / "run").read_text()
    assert 0 < script.index("make test\n") < script.index("make audit ")
    assert "-m tools.audit" in (ROOT / "Makefile").read_text()
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    assert any(step.get("run") == ".ci/run" for step in workflow["jobs"]["test"]["steps"])
