"""`python -m app`."""

import sys
from pathlib import Path

try:
    from app.cli import app
except ModuleNotFoundError as missing:
    package = (missing.name or "").split(".")[0]
    if (Path(__file__).parents[1] / package).exists():  # a package of Outfold itself
        raise
    sys.exit(
        f"error: {sys.executable} does not have the package {package}; use the environment that `make install` "
        "makes: . .venv/bin/activate"
    )

app(prog_name="python -m app")
