"""State of a round of one piece: the next attempt takes the newest, whole, and nothing of an older one stays."""

from pathlib import Path

import pytest

from core.data import shared_rounds
from core.data.remote import Remote
from core.data.shared_rounds import fetch_state, forget_states, pieces_of, publish_fold, publish_state, sync_round
from core.data.store import SharedFiles
from core.types import StorageError


@pytest.fixture
def homes(tmp_path: Path) -> tuple[SharedFiles, SharedFiles]:
    """Return the files of two homes behind one URL."""
    remote = Remote(f"file://{tmp_path}/store")
    one, other = (SharedFiles(tmp_path / name, remote, 10**9) for name in ("one", "other"))
    return one, other


def write(store: SharedFiles, **files: str) -> None:
    folder = store.root / "rounds/1"
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)


def read(store: SharedFiles) -> dict[str, str]:
    folder = store.root / "rounds/1"
    return {path.name: path.read_text() for path in folder.iterdir() if not path.name.startswith(".")}


def test_the_next_attempt_in_another_home_receives_only_the_state(
    homes: tuple[SharedFiles, SharedFiles],
) -> None:
    one, other = homes
    fetch_state(one, 1, attempt=1)
    write(one, baseline_json="{}", student_checkpoint="3")
    publish_state(one, 1, attempt=1)
    write(one, student_checkpoint="4")
    publish_state(one, 1, attempt=1)
    write(other, student_checkpoint="1", tuned_json="{}")  # of an attempt of its own that was never published
    fetch_state(other, 1, attempt=2)
    assert read(other) == {"baseline.json": "{}", "student.checkpoint": "4"}
    assert len(one.remote.list("rounds/1/files")) == 2  # the former checkpoint has gone


def test_a_home_resumes_from_its_own_files_unless_the_shared_state_is_further(
    homes: tuple[SharedFiles, SharedFiles],
) -> None:
    one, other = homes
    fetch_state(one, 1, attempt=1)
    write(one, student_checkpoint="1")
    publish_state(one, 1, attempt=1)
    write(one, student_checkpoint="2")  # and killed
    fetch_state(one, 1, attempt=2)
    assert read(one) == {"student.checkpoint": "2"}
    fetch_state(other, 1, attempt=3)
    write(other, student_checkpoint="3")
    publish_state(other, 1, attempt=3)
    fetch_state(one, 1, attempt=4)
    assert read(one) == {"student.checkpoint": "3"}


def test_a_state_replaced_during_a_fetch_is_fetched_again(
    homes: tuple[SharedFiles, SharedFiles], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = homes
    write(one, student_checkpoint="1")
    publish_state(one, 1, attempt=1)
    get, asked = Remote.get, []

    def late(remote: Remote, key: str, target: Path) -> None:
        asked.append(key)
        if len(asked) == 1:  # the process that was taken for lost wakes up
            write(one, student_checkpoint="2")
            publish_state(one, 1, attempt=1)
        get(remote, key, target)

    monkeypatch.setattr(Remote, "get", late)
    fetch_state(other, 1, attempt=2)
    assert read(other) == {"student.checkpoint": "2"}
    assert len(asked) == 2


def test_a_lost_object_is_an_error(homes: tuple[SharedFiles, SharedFiles]) -> None:
    one, other = homes
    write(one, student_checkpoint="1")
    publish_state(one, 1, attempt=1)
    one.remote.remove("rounds/1/files")
    with pytest.raises(StorageError, match=r"student\.checkpoint is gone or damaged"):
        fetch_state(other, 1, attempt=2)


def test_states_are_removed_when_the_work_ends_and_results_stay(homes: tuple[SharedFiles, SharedFiles]) -> None:
    one, other = homes
    fetch_state(one, 1, attempt=1)
    write(one, result_json="{}", student_checkpoint="1")
    publish_state(one, 1, attempt=1)
    publish_fold(one, 1, 0, 1, alone=True)
    forget_states(one, 1)
    assert list(pieces_of(one, "rounds/1")) == ["fold_0.1"]
    assert [key.rpartition("/")[2] for key in one.remote.list("rounds/1/files")] == ["result.json"]
    assert not (one.root / "rounds/1" / shared_rounds._ATTEMPT).exists()
    write(other, result_json="{}")
    one.remote.write("rounds/1/manifests/open.x.json", b"{}")
    assert (sync_round(other, 1, lambda: "x") / "result.json").read_text() == "{}"
