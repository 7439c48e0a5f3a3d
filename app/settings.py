"""All settings of an installation, read from the environment (`OUTFOLD_...`) in this one place."""

import os
from enum import StrEnum
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from app.services.addresses import host_name, is_loopback
from core.data.remote import check_url
from core.types import ConfigError

PREFIX = "OUTFOLD_"
_BACKENDS = ("sqlite", "postgresql")
_LAST_PORT = 65_535
_URL_CURE = "write postgresql+psycopg://user@host/name"


class LogForm(StrEnum):
    """Format of logs: readable lines, or one JSON object per line."""

    TEXT = "text"
    JSON = "json"


class Settings(BaseSettings):
    """Settings of an installation; every field has a default that works on one machine."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True)

    home: Path = Field(Path("var"), description="Folder of everything Outfold writes: database, thumbnails, rounds.")
    database_url: str = Field("", description="SQLAlchemy URL; empty: SQLite in `home`.")
    engine_url: str = Field("", description="URL of the job engine's own tables; empty: SQLite in `home`.")
    files_url: str = Field(
        "",
        description="URL of the files that several homes share, as s3://bucket/prefix; empty: files stay in `home`.",
    )
    ray_address: str = Field(
        "",
        description="Ray cluster, as host:6379, that embeds the images of large rounds over a frozen network; empty: "
        "workers embed them.",
    )
    embedded_worker: bool = Field(default=True, description="The web app starts a worker if none is running.")
    worker_slot: str = Field(
        "0",
        pattern=r"^[A-Za-z0-9_.-]{1,64}$",  # it names a lock file
        description="Name of the worker's slot on its machine; one worker runs in each slot.",
    )
    demo: bool = Field(default=True, description="A new installation starts with rounds of two demo datasets.")
    max_pixels: int = Field(100_000_000, gt=0, description="Larger images are reported and not imported.")
    cache_gigabytes: float = Field(
        20.0,
        ge=0,
        description="Limit of decoded images and embeddings; after a round the least recently used beyond it are "
        "removed. Copies of shared files have the same limit of their own.",
    )
    keep_rounds: int = Field(
        3, ge=0, description="Number of newest finished rounds of a dataset whose networks are kept."
    )
    worker_nice: int = Field(
        10, ge=0, le=19, description="Priority of jobs: 0 is that of other processes, 19 uses only idle processor time."
    )
    devices_per_fold: int = Field(
        1, ge=1, le=64, description="Number of GPUs of this machine that train one fold of a network together."
    )
    allowed_roots: str = Field(
        "", description="Folders people may import from and export to, separated by ':'; empty: any."
    )
    insecure: bool = Field(
        default=False, description="Allows addresses that other machines can reach even without login."
    )
    log: LogForm = Field(
        LogForm.TEXT, description="Format of logs: text, or json (one object per line, to standard error)."
    )
    session_hours: float = Field(168.0, gt=0, description="Duration of a sign-in, in hours.")
    hosts: str = Field(
        "",
        description="Further host names under which browsers may open this server, separated by ','; localhost and the "
        "served address are always allowed.",
    )

    oidc_issuer: str = Field("", description="Address of the OpenID Connect provider for sign-in; empty: none.")
    oidc_client_id: str = Field("", validate_default=True, description="Client id of this server at the provider.")
    oidc_client_secret: SecretStr = Field(
        SecretStr(""),
        description="Client secret of this server at the provider; empty: a public client with PKCE only.",
    )
    oidc_client_secret_file: Path | None = Field(None, description="File that contains the client secret.")
    oidc_domains: str = Field(
        "",
        description="E-mail domains, separated by ',', whose people can sign in without being added; empty: only users "
        "who were added with an e-mail address.",
    )
    oidc_role_claim: str = Field(
        "",
        description="Claim of the provider that sets the role at each sign-in, nested ones written as "
        "realm_access.roles; empty: roles are managed here, starting as annotator.",
    )
    oidc_leads: str = Field("", description="Values of that claim, separated by ',', that make a user a lead.")
    oidc_admins: str = Field("", description="Values of that claim, separated by ',', that make a user an admin.")

    @field_validator("home", mode="before")
    @classmethod
    def _name_a_folder(cls, value: object) -> object:
        if isinstance(value, str | Path) and not str(value).strip():
            raise ConfigError("it is empty", "name a folder, or unset it for the default")
        try:
            return Path(value).expanduser() if isinstance(value, str | Path) else value
        except RuntimeError:  # a ~name of no user
            raise ConfigError("its ~ is not a user's home", "write the path out") from None

    @field_validator("database_url", "engine_url")
    @classmethod
    def _name_a_database(cls, value: str) -> str:
        if value:
            check_database_url(value)
        return value

    @field_validator("files_url")
    @classmethod
    def _name_a_store(cls, value: str) -> str:
        if value:
            check_url(value)
            if value.startswith("memory:"):
                raise ConfigError("files in memory are lost at the end", "write s3://bucket/prefix")
        return value.rstrip("/")

    @field_validator("ray_address")
    @classmethod
    def _name_a_cluster(cls, value: str) -> str:
        host, colon, port = value.rpartition(":")
        if value and not (host_name(host) and colon and port.isdecimal() and 0 < int(port) <= _LAST_PORT):
            raise ConfigError("it is not an address of a Ray cluster", "write host:port, as ray-head:6379")
        if value and find_spec("ray") is None:
            raise ConfigError(
                "the Python package ray is not installed", "install ray 2.60 where Outfold runs, or unset it"
            )
        return value

    @field_validator("hosts")
    @classmethod
    def _name_hosts(cls, value: str) -> str:
        wrong = [part for part in value.split(",") if part.strip() and host_name(part) is None]
        if wrong:
            raise ConfigError(f"{wrong[0].strip()!r} is not a host name", "write names alone, as in labels.example.org")
        return value

    @field_validator("oidc_issuer")
    @classmethod
    def _name_an_issuer(cls, value: str) -> str:
        parts = urlsplit(value)
        is_safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))
        if value and (not is_safe or not parts.hostname or parts.query or parts.fragment):
            raise ConfigError("it is not an https address", "write it as the provider does: https://login.example.org")
        return value

    @field_validator("oidc_client_id")
    @classmethod
    def _name_a_client(cls, value: str, known: ValidationInfo) -> str:
        if known.data.get("oidc_issuer") and not value:
            raise ConfigError("it is empty, and OUTFOLD_OIDC_ISSUER is not", "register this server at the provider")
        return value

    @field_validator("oidc_client_secret_file")
    @classmethod
    def _hold_a_secret(cls, value: Path | None) -> Path | None:
        try:
            if value is not None and not value.expanduser().read_text(encoding="utf-8").strip():
                raise ConfigError("it is empty", "write the client's secret into it")
        except (OSError, UnicodeDecodeError):
            raise ConfigError("it cannot be read", "name a file that holds the client's secret") from None
        return value

    @field_validator("oidc_domains")
    @classmethod
    def _name_domains(cls, value: str) -> str:
        wrong = [part for part in _parts(value) if host_name(part) is None]
        if wrong:
            raise ConfigError(f"{wrong[0]!r} is not a domain", "write what follows the @, as in example.org")
        return value

    @property
    def oidc_secret(self) -> str:
        """The client secret at the OpenID Connect provider, "" without one."""
        if self.oidc_client_secret_file is not None:
            return self.oidc_client_secret_file.expanduser().read_text(encoding="utf-8").strip()
        return self.oidc_client_secret.get_secret_value()

    @property
    def oidc_domain_names(self) -> frozenset[str]:
        """The domains of `oidc_domains`, in lower case."""
        return frozenset(part.casefold() for part in _parts(self.oidc_domains))

    @property
    def oidc_lead_values(self) -> frozenset[str]:
        """The values of `oidc_leads`."""
        return frozenset(_parts(self.oidc_leads))

    @property
    def oidc_admin_values(self) -> frozenset[str]:
        """The values of `oidc_admins`."""
        return frozenset(_parts(self.oidc_admins))

    @property
    def host_names(self) -> frozenset[str]:
        """The names and addresses of `hosts`."""
        return frozenset(filter(None, map(host_name, self.hosts.split(","))))

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
        parts = filter(None, map(str.strip, self.allowed_roots.split(os.pathsep)))
        return tuple(Path(os.path.expanduser(part)) for part in parts)  # noqa: PTH111  # a Path's raises for no ~name

    @property
    def real_roots(self) -> tuple[str, ...]:
        """The real paths of the folders that people may use, the installation's own included; empty: any."""
        return tuple(map(os.path.realpath, (*self.roots, self.files))) if self.roots else ()

    @property
    def cache_bytes(self) -> int:
        """Limit for decoded images and embeddings together, after a round."""
        return round(self.cache_gigabytes * 1e9)

    @property
    def files(self) -> Path:
        """The root of all files outside the database."""
        return self.folder / "files"

    @property
    def worker_log(self) -> Path:
        """Log file of the worker."""
        return self.folder / "worker.log"

    def as_environment(self) -> dict[str, str]:
        """Return the variables that pass these settings to a child process, without the secret, which none needs."""
        values = {**self.model_dump(mode="json", exclude={"oidc_client_secret"}), "home": str(self.folder)}
        return {f"{PREFIX}{name.upper()}": str(value) for name, value in values.items() if value is not None}


@cache
def settings() -> Settings:
    """Return this process's settings, read once.

    Raises:
        ConfigError: a variable has an invalid value.
    """
    try:
        return Settings()
    except ValidationError as error:
        *others, last = map(_in_words, error.errors(include_url=False))
        raise ConfigError("; ".join([*map(str, others), last.message]), last.cure) from None


def unknown_variables() -> list[str]:
    """Return variables that look like settings but are not, such as mistyped names."""
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    return sorted(
        name
        for name in os.environ
        if name.startswith(PREFIX) and name.upper() not in known and not name.startswith(f"{PREFIX}TEST_")
    )


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def check_database_url(value: str) -> None:
    """Raise `ConfigError` if a text is not the URL of a supported database."""
    try:
        url = make_url(value)
        url.get_dialect().import_dbapi()
    except (NoSuchModuleError, ImportError):
        raise ConfigError("its driver is not installed", _URL_CURE) from None
    except ArgumentError:
        raise ConfigError("it is no SQLAlchemy URL", _URL_CURE) from None
    if url.get_backend_name() not in _BACKENDS:
        raise ConfigError(f"{url.get_backend_name()} is not supported", f"name one of {', '.join(_BACKENDS)}")
    if url.get_backend_name() == "sqlite" and url.database in {None, "", ":memory:"}:
        raise ConfigError("a database in memory is lost at the end", "write sqlite:////absolute/path.sqlite")


def _file_url(path: Path) -> str:
    return URL.create("sqlite", database=str(path)).render_as_string()  # escapes characters with a meaning in URLs


def _in_words(error: ErrorDetails) -> ConfigError:
    name = f"{PREFIX}{str(error['loc'][0]).upper()}"
    given, own = error["input"], error.get("ctx", {}).get("error")
    if isinstance(own, ConfigError):
        return ConfigError(f"{name} is {_without_password(given)!r}: {own.message}", own.cure)
    cause = f"{error['msg'][0].lower()}{error['msg'][1:]}"
    return ConfigError(f"{name} is {given!r}: {cause}", "correct it, or unset it for the default")


def _without_password(value: object) -> object:
    try:
        return make_url(str(value)).render_as_string(hide_password=True) if "://" in str(value) else value
    except ArgumentError:
        return value
