"""Log formats: readable lines, or one JSON object per line (`OUTFOLD_LOG=json`), both without secrets.

Every handler of the process gets the formatter, including those of the server and of Streamlit. Passwords of databases,
cookies of sessions and everything written as a password, secret or token are replaced, wherever they occur in a
message or a traceback.
"""

import json
import logging
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import quote, quote_plus

from sqlalchemy import make_url

from app.settings import LogForm, Settings

HIDDEN = "***"
_SHORTEST = 4  # characters of a password that is looked for everywhere; shorter ones are parts of words
_PATTERNS = (
    re.compile(r"(://[^\s:/@]*:)[^\s/]+(?=@)"),  # a URL's password
    re.compile(r"(outfold_session\w*=)[^;\s\"']+"),
    re.compile(r"((?:password|passwd|secret|token|cookie)[\"']?\s*[=:]\s*[\"']?)[^\s\"'&,;})]+", re.IGNORECASE),
)


class SafeFormatter(logging.Formatter):
    """Lines of another formatter without secrets."""

    def __init__(self, inner: logging.Formatter, secrets: frozenset[str]) -> None:
        """Format with `inner` and replace `secrets` wherever they occur."""
        super().__init__()
        self.inner, self.secrets = inner, secrets

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's text."""
        return without_secrets(self.inner.format(record), self.secrets)


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time, level, logger, message, process, and the traceback as `error`."""

    def __init__(self, secrets: frozenset[str]) -> None:
        """Replace `secrets` wherever they occur."""
        super().__init__()
        self.secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line."""
        values = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": without_secrets(record.getMessage(), self.secrets),
            "process": record.process,
        }
        if record.exc_info:
            values["error"] = without_secrets(self.formatException(record.exc_info), self.secrets)
        if record.stack_info:
            values["stack"] = without_secrets(record.stack_info, self.secrets)
        return json.dumps(values, ensure_ascii=False)


def configure_logs(chosen: Settings) -> None:
    """Give every handler of this process the configured formatter; for JSON, the root logger gets a handler too."""
    root = logging.getLogger()
    if chosen.log is LogForm.JSON and not any(type(one) is logging.StreamHandler for one in root.handlers):
        root.addHandler(logging.StreamHandler(sys.stderr))
    for handler in _handlers():
        if not isinstance(handler.formatter, SafeFormatter | JsonFormatter):
            handler.setFormatter(formatter(chosen, handler.formatter))


def formatter(chosen: Settings, inner: logging.Formatter | None = None) -> logging.Formatter:
    """Return the configured formatter; `inner` writes the readable lines."""
    secrets = secrets_of(chosen)
    if chosen.log is LogForm.JSON:
        return JsonFormatter(secrets)
    return SafeFormatter(inner or logging.Formatter(), secrets)


def secrets_of(chosen: Settings) -> frozenset[str]:
    """Return the passwords of the databases' URLs, plain and as they are written in a URL."""
    passwords = {make_url(url).password for url in (chosen.app_url, chosen.dbos_url)} - {None}
    long = {str(one) for one in passwords if len(str(one)) >= _SHORTEST}
    return frozenset(form for one in long for form in (one, quote(one, safe=""), quote_plus(one)))


def without_secrets(text: str, secrets: frozenset[str] = frozenset()) -> str:
    """Return a text in which passwords, cookies of sessions and these secrets are replaced."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    for pattern in _PATTERNS:
        text = pattern.sub(rf"\g<1>{HIDDEN}", text)
    return text


def _handlers() -> Iterator[logging.Handler]:
    if logging.lastResort is not None:  # if a logger has no handler at all
        yield logging.lastResort
    loggers = [logging.getLogger(), *map(logging.getLogger, list(logging.root.manager.loggerDict))]
    yield from (handler for logger in loggers for handler in logger.handlers)
