import socket

import pytest

from app.commands import browsing


def test_the_address_is_opened_once_something_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(browsing.webbrowser, "open", lambda address: bool(opened.append(address)) or True)
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert browsing.open_when_served("http://localhost/review?round=1", server.getsockname()[1])
    assert opened == ["http://localhost/review?round=1"]


def test_nothing_is_opened_where_nothing_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browsing, "_WAIT_SECONDS", 0.0)
    monkeypatch.setattr(browsing.webbrowser, "open", lambda _: pytest.fail("opened"))
    assert not browsing.open_when_served("http://localhost/", 1)
