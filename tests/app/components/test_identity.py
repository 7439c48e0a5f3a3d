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
def test_a_cookie_holds_a_valid_name_or_none(cookie: str, name: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    context = SimpleNamespace(cookies={COOKIE: cookie})
    monkeypatch.setattr(identity.st, "context", context)
    assert identity.current_name() == name
    assert identity.name_for_record() == (name or identity.ANONYMOUS)


@pytest.mark.parametrize(
    ("role", "cookie", "looks"),
    [
        (None, "Ada", None),
        ("admin", "Ada", None),
        ("lead", "Ada", "Ada"),
        ("annotator", "Ada", "Ada"),
        ("annotator", "%FF", " "),  # no name is one of no member
    ],
)
def test_a_viewer_is_restricted_unless_admin_or_without_login(
    role: str | None, cookie: str, looks: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = {} if role is None else {identity.ROLE: role}
    monkeypatch.setattr(identity.st, "context", SimpleNamespace(cookies={COOKIE: cookie}, headers=headers))
    assert identity.current_viewer() is None  # outside a page's thread
    monkeypatch.setattr(identity, "get_script_run_ctx", lambda **_options: object())
    assert identity.current_viewer() == looks
