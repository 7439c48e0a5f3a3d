"""All settings of an installation, read from the environment (`OUTFOLD_...`) in this one place."""

import os
from functools import cache
from pathlib import Path

from pydantic import Field, ValidationError, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from core.types import ConfigError

PREFIX = "OUTFOLD_"
_BACKENDS = ("sqlite", "postgresql")


class Settings(BaseSettings):
    """What an installation may set; every field has a default that works on one machine."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True)

    home: Path = Field(Path("var"), description="Folder of everything Outfold writes: database, thumbnails, rounds.")
    database_url: str = Field("", description="SQLAlchemy URL; empty: SQLite in `home`.")
    engine_url: str = Field("", description="URL of the job engine's own tables; empty: SQLite in `home`.")
    embedded_worker: bool = Field(default=True, description="The web app starts a worker when none is alive.")
    worker_slot: str = Field(
        "0",
        pattern=r"^[A-Za-z0-9_.-]{1,64}$",  # it names a lock file
        description="Name of a worker's place on its machine; one worker runs in each.",
    )
    demo: bool = Field(default=True, description="A new installation begins with the demo datasets at work.")
    max_pixels: int = Field(100_000_000, gt=0, description="Larger images are reported and not imported.")
    cache_gigabytes: float = Field(
        20.0, ge=0, description="Decoded images and embeddings beyond this go after a round, the longest unused first."
    )
    keep_rounds: int = Field(
        3, ge=0, description="Networks of so many finished rounds of a dataset are kept, the newest."
    )
    allowed_roots: str = Field(
        "", description="Folders people may import from and export to, separated by ':'; empty: any."
    )

    @field_validator("home", mode="before")
    @classmethod
    def _name_a_folder(cls, value: object) -> object:
        if isinstance(value, str | Path) and not str(value).strip():
            raise ValueError("it is empty; name a folder, or unset it for the default")
        try:
            return Path(value).expanduser() if isinstance(value, str | Path) else value
        except RuntimeError:  # a ~name that is no user's
            raise ValueError("its ~ is no user's home; write the path out") from None

    @field_validator("database_url", "engine_url")
    @classmethod
    def _name_a_database(cls, value: str) -> str:
        if not value:
            return value
        try:
            url = make_url(value)
            url.get_dialect().import_dbapi()
        except (NoSuchModuleError, ImportError):
            raise ValueError("its driver is not installed; write postgresql+psycopg://user@host/name") from None
        except ArgumentError:
            raise ValueError("it is no SQLAlchemy URL; write postgresql+psycopg://user@host/name") from None
        if url.get_backend_name() not in _BACKENDS:
            raise ValueError(f"{url.get_backend_name()} is not supported; name one of {', '.join(_BACKENDS)}")
        if url.get_backend_name() == "sqlite" and url.database in {None, "", ":memory:"}:
            raise ValueError("a database in memory is lost at the end; write sqlite:////absolute/path.sqlite")
        return value

    @property
    def folder(self) -> Path:
        """The home, absolute and with its links followed."""
        return Path(os.path.realpath(self.home))  # a Path's own resolve raises for a circle of links

    @property
    def app_url(self) -> str:
        """The database's URL."""
        return self.database_url or _file_url(self.folder / "outfold.sqlite")

    @property
    def dbos_url(self) -> str:
        """The job engine's URL."""
        return self.engine_url or _file_url(self.folder / "engine.sqlite")

    @property
    def roots(self) -> tuple[Path, ...]:
        """The folders of `allowed_roots`."""
        named = filter(None, map(str.strip, self.allowed_roots.split(os.pathsep)))
        return tuple(Path(os.path.expanduser(part)) for part in named)  # noqa: PTH111  # a Path's raises for no ~name

    @property
    def cache_bytes(self) -> int:
        """What decoded images and embeddings may take together after a round."""
        return round(self.cache_gigabytes * 1e9)

    @property
    def files(self) -> Path:
        """The root of all files that are not rows."""
        return self.folder / "files"

    @property
    def worker_log(self) -> Path:
        """Where the worker writes what it does."""
        return self.folder / "worker.log"

    def as_environment(self) -> dict[str, str]:
        """Return the variables that give a process of ours exactly these settings."""
        values = {**self.model_dump(mode="json"), "home": str(self.folder)}
        return {f"{PREFIX}{name.upper()}": str(value) for name, value in values.items()}


@cache
def settings() -> Settings:
    """Return this process's settings, read once.

    Raises:
        ConfigError: a variable has a value that cannot work.
    """
    try:
        return Settings()
    except ValidationError as error:
        raise ConfigError("; ".join(map(_in_words, error.errors(include_url=False)))) from None


def unknown_variables() -> list[str]:
    """Return the variables that look like settings and are none, such as a mistyped name."""
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    return sorted(
        name
        for name in os.environ
        if name.startswith(PREFIX) and name.upper() not in known and not name.startswith(f"{PREFIX}TEST_")
    )


def _file_url(path: Path) -> str:
    return URL.create("sqlite", database=str(path)).render_as_string()  # escapes what a URL would take for more


def _in_words(error: ErrorDetails) -> str:
    name = f"{PREFIX}{str(error['loc'][0]).upper()}"
    given = error["input"]
    if error["type"] == "value_error":
        return f"{name} is {_without_password(given)!r}: {error['ctx']['error']}"
    return f"{name} is {given!r}: {error['msg'][0].lower()}{error['msg'][1:]}; correct it, or unset it for the default"


def _without_password(value: object) -> object:
    try:
        return make_url(str(value)).render_as_string(hide_password=True) if "://" in str(value) else value
    except ArgumentError:
        return value
