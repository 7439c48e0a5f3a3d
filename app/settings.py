"""All settings of an installation, read from the environment (`OUTFOLD_...`) in this one place."""

from functools import cache
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """What an installation may set; every field has a default that works on one machine."""

    model_config = SettingsConfigDict(env_prefix="OUTFOLD_", frozen=True)

    home: Path = Field(Path("var"), description="Folder of everything Outfold writes: database, thumbnails, rounds.")
    database_url: str = Field("", description="SQLAlchemy URL; empty: SQLite in `home`.")
    engine_url: str = Field("", description="URL of the job engine's own tables; empty: SQLite in `home`.")
    embedded_worker: bool = Field(default=True, description="The web app starts a worker when none is alive.")
    worker_slot: str = Field("0", description="Name of a worker's place on its machine; one worker runs in each.")
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

    @property
    def app_url(self) -> str:
        """The database's URL."""
        return self.database_url or f"sqlite:///{self.home.resolve() / 'outfold.sqlite'}"

    @property
    def dbos_url(self) -> str:
        """The job engine's URL."""
        return self.engine_url or f"sqlite:///{self.home.resolve() / 'engine.sqlite'}"

    @property
    def cache_bytes(self) -> int:
        """What decoded images and embeddings may take together after a round."""
        return round(self.cache_gigabytes * 1e9)

    @property
    def files(self) -> Path:
        """The root of all files that are not rows."""
        return self.home.resolve() / "files"

    @property
    def worker_log(self) -> Path:
        """Where the worker writes what it does."""
        return self.home.resolve() / "worker.log"

    def as_environment(self) -> dict[str, str]:
        """Return the variables that give a process of ours exactly these settings."""
        values = {**self.model_dump(mode="json"), "home": str(self.home.resolve())}
        return {f"OUTFOLD_{name.upper()}": str(value) for name, value in values.items()}


@cache
def settings() -> Settings:
    """Return this process's settings, read once."""
    return Settings()
