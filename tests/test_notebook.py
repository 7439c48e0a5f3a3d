"""The example notebook runs from its first cell to its last, and finds the wrong labels that it planted."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CHECKS = """
assert found >= 10, found
assert found_in_folder >= 10, found_in_folder  # at random it would be 1
assert done.probabilities.shape == (300, 10)
"""


@pytest.mark.slow
def test_the_notebook_runs_and_finds_the_planted_errors(tmp_path: Path) -> None:
    cells = json.loads((ROOT / "docs" / "notebook.ipynb").read_text("utf-8"))["cells"]
    code = [*("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"), CHECKS]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(code)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
