"""Twenty simulated people at the real web app for ten minutes, beside a worker with a round: times, and what was lost.

    python bench/soak.py [--minutes M] [--postgres] [--json FILE]

Everybody signs in, opens pages, judges a card a second, takes acts back, sends every tenth act twice and judges cards
of a random sample. Times are from the request to its answer, `rerun` from asking for a page to the end of its script.
`lock_errors` counts answers that say that the database could not be had; `lost` acts that were answered and are not
stored, and cards that do not stand where the answers said; `doubled` acts that are stored more than once. With
`--postgres` the same follows on a PostgreSQL server on loopback.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from app.services.app_context import AppContext, open_app
from app.services.imports import jobs as imports
from app.services.imports.jobs import ImportRequest
from app.services.programs import find_postgresql
from app.settings import Settings
from bench._people import (
    Person,
    Tally,
    count_doubled,
    count_lost,
    rounds_in_a_row,
    serving,
    start_worker,
    work_at_once,
)
from core.config import RoundConfig
from tools.fixtures.postgres import empty_database, running_postgres
from tools.fixtures.reviews import fill

PEOPLE = 20
FINDINGS = 30_000
CONFIG = RoundConfig(folds=5, epochs=60, input_size=28, grey=True, batch_size=64, device="cpu")
TARGETS = {"lock_errors": 0, "lost": 0, "doubled": 0, "verdict_ms_p95": 500, "verdict_ms_p99": 1000}  # at most
STORED_A_SECOND = 10_000 / 600  # at least


def main() -> None:
    """Measure, print, and write the figures where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--people", type=int, default=PEOPLE)
    parser.add_argument("--no-round", action="store_true", help="no worker and no round beside the people")
    parser.add_argument("--postgres", action="store_true", help="on PostgreSQL too")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    chosen = parser.parse_args()
    seconds = 60 * chosen.minutes
    figures = soak("", seconds, chosen.people, is_busy=not chosen.no_round)
    if chosen.postgres:
        programs = find_postgresql()
        if programs is None:
            parser.error("there is no PostgreSQL server; install one, or leave --postgres out")
        with running_postgres(Path(programs), durable=True) as server, empty_database(server.url) as url:
            figures |= {
                f"{name}_postgres": value
                for name, value in soak(url, seconds, chosen.people, is_busy=not chosen.no_round).items()
            }
    print_table(figures, seconds)
    if chosen.json:
        chosen.json.write_text(json.dumps(figures, indent=2))


def soak(url: str, seconds: float, count: int, *, is_busy: bool) -> dict[str, float]:
    """Return the figures of one database; `url` is empty for SQLite."""
    with tempfile.TemporaryDirectory(prefix="outfold-soak-") as folder, opened(Path(folder), url) as app_context:
        digits = import_digits(app_context, Path(folder) / "digits")
        tally = Tally()
        with serving(app_context.settings) as port, at_work(app_context, digits) if is_busy else nullcontext():
            people = [Person(port, f"person{place}", tally, 1 + place, count) for place in range(count)]
            work_at_once(people, seconds)
        return {
            "verdicts": len(tally.verdicts),
            "lock_errors": tally.refused,
            "lost": count_lost(app_context, people),
            "doubled": count_doubled(app_context) + tally.faults.total(),
            "rerun_ms_p95": percentile_ms(tally.reruns, 95),
            "verdict_ms_p50": percentile_ms(tally.verdicts, 50),
            "verdict_ms_p95": percentile_ms(tally.verdicts, 95),
            "verdict_ms_p99": percentile_ms(tally.verdicts, 99),
            "verdict_ms_max": percentile_ms(tally.verdicts, 100),
        }


@contextmanager
def opened(folder: Path, url: str) -> Iterator[AppContext]:
    """Open a new installation whose dataset 1 has a finished round of `FINDINGS` findings."""
    settings = Settings(home=folder / "home", database_url=url, engine_url=url, demo=False, embedded_worker=False)
    app_context = open_app(settings)
    fill(app_context, FINDINGS, suspicious=0.9)
    yield app_context
    app_context.database.close()


@contextmanager
def at_work(app_context: AppContext, dataset_id: int) -> Iterator[None]:
    """Run a worker that always has a round."""
    worker = start_worker(app_context.settings)
    try:
        with rounds_in_a_row(app_context, dataset_id, CONFIG):
            yield
    finally:
        worker.terminate()
        worker.wait(30)


def import_digits(app_context: AppContext, folder: Path, count: int = 1797) -> int:
    """Import scikit-learn's handwritten digits, the first `count`, as 28 x 28 pixels; return the dataset's id."""
    from sklearn.datasets import load_digits  # noqa: PLC0415 seconds

    images, labels = load_digits(return_X_y=True)
    for number, (image, label) in enumerate(zip(images[:count], labels[:count], strict=True)):
        (folder / str(label)).mkdir(parents=True, exist_ok=True)
        grey = Image.fromarray(np.round(image.reshape(8, 8) * (255 / 16)).astype(np.uint8))
        grey.resize((28, 28)).save(folder / str(label) / f"{number:04}.png")
    import_id = imports.add_import(app_context, ImportRequest(name="digits", source=str(folder)))
    dataset_id = imports.run_import(app_context, import_id).dataset_id
    assert dataset_id is not None
    return dataset_id


def percentile_ms(seconds: list[float], percent: float) -> float:
    """Return the time at this percentile; NaN without values."""
    return round(1e3 * float(np.percentile(seconds, percent)), 1) if seconds else float("nan")


def print_table(figures: dict[str, float], seconds: float) -> None:
    """Print the figures with their targets."""
    for name, value in figures.items():
        plain = name.removesuffix("_postgres")
        if plain == "verdicts":
            least = STORED_A_SECOND * seconds
            target = f"{least:12,.0f}  {'reached' if value >= least else 'MISSED'}"
        elif plain in TARGETS:
            target = f"{TARGETS[plain]:12,}  {'reached' if value <= TARGETS[plain] else 'MISSED'}"
        else:
            target = ""
        print(f"{name:<26}{value:>12,.1f}{target}")


if __name__ == "__main__":
    main()
