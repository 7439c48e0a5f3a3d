"""The name in the cookie: read as the routes wrote it, never trusted to be one."""

from types import SimpleNamespace
from urllib.parse import quote

import pytest

from app.components import identity
from app.services.annotators import COOKIE


@pytest.mark.parametrize(
    ("cookie", "name"),
    [
        (quote("Žofie Nováková", safe=""), "Žofie Nováková"),
        (quote("  Ann \n Kim ", safe=""), "Ann Kim"),
        ("", None),
        ("%FF%FE", None),
        (quote("x" * 81), None),
    ],
)
def test_a_cookie_is_a_name_or_nobody(cookie: str, name: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    context = SimpleNamespace(cookies={COOKIE: cookie})
    monkeypatch.setattr(identity.st, "context", context)
    assert identity.current_name() == name
    assert identity.name_for_record() == (name or identity.ANONYMOUS)
