"""Scratch folders: gone after their block, and after their process was killed as soon as a later one looks."""

import signal
import subprocess
import sys
from pathlib import Path

from core.data.scratch import remove_abandoned, scratch_folder

ROOT = Path(__file__).parents[3]


def test_a_folder_is_there_within_the_block_alone(tmp_path: Path) -> None:
    with scratch_folder(tmp_path, "check-") as folder:
        (folder / "kept.npy").write_bytes(b"1")
        assert folder.is_dir()
    assert not list(tmp_path.iterdir())


def test_what_a_killed_process_left_is_removed_and_what_is_in_use_stays(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom core.data.scratch import scratch_folder\n"
        "with scratch_folder(Path(sys.argv[1]), 'check-'):\n    print('ready', flush=True)\n    sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        (tmp_path / "images").mkdir()
        assert remove_abandoned(tmp_path, "check-") == 0
        process.send_signal(signal.SIGKILL)
        process.wait()
    with scratch_folder(tmp_path, "check-") as own:
        assert remove_abandoned(tmp_path, "check-") == 1
        assert sorted(tmp_path.iterdir()) == sorted([own, tmp_path / "images"])
