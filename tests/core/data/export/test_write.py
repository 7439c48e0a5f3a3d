"""Exports read back as resolved, written whole or not at all, with the same bytes twice."""

import errno
import json
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from PIL import Image

from core.data.export import placing, write
from core.data.export.items import (
    ExportFormat,
    ExportItem,
    ExportOptions,
    ExportPlan,
    LabelOrigin,
    Link,
    Source,
    UnusablePolicy,
    plan_export,
)
from core.data.export.layouts import ExportLayout
from core.data.export.write import write_export
from core.data.formats.detect import FORMATS, detect
from core.data.formats.source import ReadOptions, SourceFormat
from core.types import ExportError, RoundCancelledError, Verdict

OF_CLASSES = [form for form in ExportFormat if not form.of_masks]
WITH_FILES = [form for form in OF_CLASSES if form.with_files and not form.embeds]
WHOLE = [form for form in OF_CLASSES if not form.is_patch]
SOURCE = Source("pets", "classification", ("cat", "dog", "bird"))
VERSIONS = {"outfold": "1"}


def image(path: Path, shade: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((2, 3), shade, np.uint8)).save(path, "PNG")
    return path


def item(root: Path, name: str, shade: int, given: str | None, label: str | None, **more: object) -> ExportItem:
    path = image(root / name, shade)
    data = path.read_bytes()
    digest = blake2b(data, digest_size=16).hexdigest()
    made = ExportItem(path=str(path), name=name, content_hash=digest, given=given, label=label, bytes=len(data))
    return replace(made, **more)  # type: ignore[arg-type]


@pytest.fixture
def items(tmp_path: Path) -> list[ExportItem]:
    root = tmp_path / "originals"
    by_ada = {"annotator": "Ada", "decided_at": "2026-11-21T03:00:00+00:00", "round": 1, "changeset": 7}
    person, bulk = LabelOrigin.PERSON, LabelOrigin.BULK
    return [
        item(root, "cat/1.png", 1, "cat", "cat"),
        item(root, "cat/2.png", 2, "cat", "dog", verdict="accept", method=person, confidence=0.97, **by_ada),
        item(root, "dog/1.png", 3, "dog", "dog", verdict="keep", method=person, confidence=0.5, **by_ada),
        item(root, "dog/2.png", 4, "dog", "cat", verdict="accept", method=bulk, confidence=0.99, **by_ada),
        item(root, "dog/3.png", 5, "dog", None, verdict="ambiguous", method=person, **by_ada),
        item(root, "bird/1.png", 6, "bird", None, verdict="exclude", method=person, **by_ada),
        item(root, "unlabelled/9.png", 7, None, None),
    ]


def export(items: list[ExportItem], target: Path, source: Source = SOURCE, **wishes: object) -> Path:
    write_export(plan_export(source, items, ExportOptions(**wishes)), target, versions=VERSIONS)  # type: ignore[arg-type]
    return target


def labels_by_hash(folder: Path) -> dict[str, tuple[str | None, str]]:
    """Read an export as a stranger would, by what its format is recognised as."""
    reader = FORMATS[detect(folder).format]
    options = ReadOptions(allow_outside_links=True, unpack_into=str(folder.with_name(f"{folder.name}_unpacked")))
    listing = reader.read(folder, options)
    samples = listing.unpack(listing.samples)
    return {placing.content_hash(Path(sample.path)): (sample.label, sample.split) for sample in samples}


def resolved(items: list[ExportItem]) -> dict[str, tuple[str | None, str]]:
    return {each.content_hash: (each.label, each.split) for each in items if each.label is not None}


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("form", WHOLE)
def test_an_export_reads_back_as_the_resolved_labels(
    items: list[ExportItem], tmp_path: Path, form: ExportFormat
) -> None:
    folder = export(items, tmp_path / "out", format=form)
    assert labels_by_hash(folder) == resolved(items)


@pytest.mark.parametrize("form", OF_CLASSES)
def test_two_exports_of_one_state_are_byte_for_byte_equal(
    items: list[ExportItem], tmp_path: Path, form: ExportFormat
) -> None:
    first = export(items, tmp_path / "one", format=form, ambiguous=UnusablePolicy.APART)
    second = export(items[::-1], tmp_path / "two", format=form, ambiguous=UnusablePolicy.APART)
    assert tree(first) == tree(second)


@pytest.mark.parametrize("form", WHOLE)
def test_unsettled_images_are_left_out_kept_or_set_apart_as_chosen(
    items: list[ExportItem], tmp_path: Path, form: ExportFormat
) -> None:
    left_out = labels_by_hash(export(items, tmp_path / "a", format=form))
    assert len(left_out) == 4
    kept = labels_by_hash(export(items, tmp_path / "b", format=form, ambiguous=UnusablePolicy.KEEP_GIVEN))
    assert kept[items[4].content_hash] == ("dog", "")
    assert len(kept) == 5
    apart = export(items, tmp_path / "c", format=form, excluded=UnusablePolicy.APART, unlabelled=UnusablePolicy.APART)
    assert {each for each, (label, _) in labels_by_hash(apart).items() if label is None} == {
        items[5].content_hash,
        items[6].content_hash,
    }


def test_class_folders_agree_with_the_table_beside_them(items: list[ExportItem], tmp_path: Path) -> None:
    split = [replace(each, split="train" if at % 2 else "odd / split") for at, each in enumerate(items)]
    folder = export(split, tmp_path / "out", excluded=UnusablePolicy.APART, unlabelled=UnusablePolicy.APART)
    listing = FORMATS[SourceFormat.IMAGEFOLDER].read(folder, ReadOptions())
    by_folder = {placing.content_hash(Path(each.path)): (each.label, each.split) for each in listing.samples}
    assert by_folder == labels_by_hash(folder)
    assert (folder / "train" / "dog" / "2.png").is_file()
    assert (folder / "_excluded" / "%74rain" / "1.png").is_file()  # no program takes it for a split


@pytest.mark.parametrize("link", list(Link))
def test_files_are_linked_or_copied_as_requested_and_counted(
    items: list[ExportItem], tmp_path: Path, link: Link
) -> None:
    folder = export(items, tmp_path / "out", link=link)
    placed = folder / "dog" / "2.png"
    assert placed.is_symlink() == (link is Link.SYMLINK)
    assert placed.samefile(items[1].path) == (link is not Link.COPY)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["files"]["placed"] == {link.value: 4}


def cannot_link(*_args: object, **_more: object) -> None:
    raise OSError(errno.EXDEV, "Invalid cross-device link")


def test_files_are_copied_across_disks_only_if_allowed(
    items: list[ExportItem], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placing.os, "link", cannot_link)
    with pytest.raises(ExportError, match="cannot be hard linked"):
        export(items, tmp_path / "out", copy_if_needed=False)
    assert not (tmp_path / "out").exists()
    folder = export(items, tmp_path / "out")
    assert json.loads((folder / "manifest.json").read_text())["files"]["placed"] == {"copy": 4}


def test_a_hard_link_on_a_link_links_the_image_itself(items: list[ExportItem], tmp_path: Path) -> None:
    link = tmp_path / "linked.png"
    link.symlink_to(items[0].path)
    folder = export([replace(items[0], path=str(link))], tmp_path / "out")
    assert not (folder / "cat" / "linked.png").is_symlink()


def test_the_manifest_counts_pairs_methods_and_omitted_images(items: list[ExportItem], tmp_path: Path) -> None:
    counts = json.loads((export(items, tmp_path / "out") / "manifest.json").read_text())["counts"]
    assert counts["changed"] == 2
    assert counts["by_pair"] == [
        {"given": "cat", "label": "dog", "count": 1},
        {"given": "dog", "label": "cat", "count": 1},
    ]
    assert counts["by_method"] == {"bulk": 1, "given": 1, "person": 2}
    assert counts["left_out"] == {"ambiguous": 1, "excluded": 1, "unlabelled": 1}
    assert counts["by_class"][0] == {"class": "cat", "given": 2, "label": 2}


def test_files_with_equal_names_in_one_class_are_all_exported(tmp_path: Path) -> None:
    root = tmp_path / "originals"
    items = [item(root, f"{name}/1.png", at, name, "cat") for at, name in enumerate(("bird", "cat", "dog"))]
    items.append(item(root, "dog/1.PNG", 9, "dog", "cat"))
    folder = export(items, tmp_path / "out")
    assert len({path.name.casefold() for path in (folder / "cat").iterdir()}) == 4
    assert labels_by_hash(folder) == resolved(items)


@pytest.mark.parametrize("form", WITH_FILES)
def test_a_changed_or_missing_image_stops_the_export(
    items: list[ExportItem], tmp_path: Path, form: ExportFormat
) -> None:
    image(Path(items[0].path), 200)
    with pytest.raises(ExportError, match="has changed"):
        export(items, tmp_path / "out", format=form, link=Link.COPY)
    Path(items[0].path).unlink()
    with pytest.raises(ExportError, match="is gone"):
        export(items, tmp_path / "out", format=form)
    assert [path.name for path in tmp_path.iterdir()] == ["originals"]


def test_an_export_that_reads_back_differently_is_not_kept(
    items: list[ExportItem], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = write.write_tables

    def lying(folder: Path, laid: ExportLayout) -> str:
        rows = (replace(laid.plan.rows[0], label="bird"), *laid.plan.rows[1:])
        return whole(folder, replace(laid, plan=replace(laid.plan, rows=rows)))

    monkeypatch.setattr(write, "write_tables", lying)
    with pytest.raises(ExportError, match="reads back differently"):
        export(items, tmp_path / "out", format=ExportFormat.CSV)
    assert not (tmp_path / "out").exists()


def test_only_a_former_export_is_replaced_and_only_on_request(items: list[ExportItem], tmp_path: Path) -> None:
    target = export(items, tmp_path / "out")
    plan = plan_export(SOURCE, items[:1], ExportOptions())
    with pytest.raises(ExportError, match="former export"):
        write_export(plan, target, versions=VERSIONS)
    write_export(plan, target, versions=VERSIONS, overwrite=True)
    assert len(labels_by_hash(target)) == 1
    foreign = image(tmp_path / "mine" / "a.png", 1).parent
    with pytest.raises(ExportError, match="no export of Outfold"):
        write_export(plan, foreign, versions=VERSIONS, overwrite=True)
    assert {path.name for path in tmp_path.iterdir()} == {"originals", "out", "mine"}


def test_a_cancelled_export_leaves_nothing(items: list[ExportItem], tmp_path: Path) -> None:
    with pytest.raises(RoundCancelledError):
        write_export(
            plan_export(SOURCE, items, ExportOptions()), tmp_path / "out", versions=VERSIONS, should_stop=lambda: True
        )
    assert [path.name for path in tmp_path.iterdir()] == ["originals"]


@contextmanager
def full_disk() -> Iterator[None]:
    """No file of this process may grow beyond 100 bytes: what a full disk does, without filling one.

    No fixture: pytest writes its own report, perhaps to a file, before a fixture ends.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("form", OF_CLASSES)
def test_a_full_disk_is_reported_and_leaves_nothing(
    items: list[ExportItem], tmp_path: Path, form: ExportFormat
) -> None:
    with full_disk(), pytest.raises(ExportError, match=r"nothing was left behind"):
        export(items, tmp_path / "out", format=form)
    assert [path.name for path in tmp_path.iterdir()] == ["originals"]


def test_copies_that_cannot_fit_are_refused_before_the_first_byte(items: list[ExportItem], tmp_path: Path) -> None:
    huge = [replace(each, bytes=1 << 60) for each in items]
    with pytest.raises(ExportError, match=r"(GB|MB|kB|bytes) left"):
        export(huge, tmp_path / "deep" / "out", link=Link.COPY)
    assert not (tmp_path / "deep").exists()


KILLED = """
import pickle, sys, time
from pathlib import Path
from core.data.export.write import write_export
plan = pickle.loads(Path(sys.argv[1]).read_bytes())
def report(done, total):
    print("half", flush=True)
    time.sleep(60)
write_export(plan, Path(sys.argv[2]), versions={}, report=report, overwrite=True)
"""


@pytest.mark.parametrize("replacing", [False, True])
def test_a_killed_export_leaves_no_target_and_is_cleaned_up_by_the_next(
    items: list[ExportItem], tmp_path: Path, *, replacing: bool
) -> None:
    import pickle

    plan = plan_export(SOURCE, items, ExportOptions())
    (tmp_path / "plan").write_bytes(pickle.dumps(plan))
    target = tmp_path / "out"
    if replacing:
        write_export(plan, target, versions=VERSIONS)
    former = tree(target)
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path / "plan"), str(target)],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[4],
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"half\n"
    child.kill()
    child.wait()
    child.stdout.close()
    assert target.exists() == replacing
    assert tree(target) == former
    assert any(path.name.endswith(".partial") for path in tmp_path.iterdir())
    write_export(plan, target, versions=VERSIONS, overwrite=replacing)
    assert labels_by_hash(target) == resolved(items)
    assert not any(path.name.endswith(".partial") for path in tmp_path.iterdir())


def test_an_export_leaves_the_files_of_a_concurrent_export_alone(items: list[ExportItem], tmp_path: Path) -> None:
    plan, other = plan_export(SOURCE, items, ExportOptions()), tmp_path / "out.v2"

    def meanwhile(done: int, total: int) -> None:
        if not (tmp_path / "out").exists():
            write_export(plan, tmp_path / "out", versions=VERSIONS)

    write_export(plan, other, versions=VERSIONS, report=meanwhile)
    assert tree(other) == tree(tmp_path / "out")


def test_originals_keep_their_bytes_and_times(items: list[ExportItem], tmp_path: Path) -> None:
    def state() -> dict[str, tuple[bytes, int]]:
        paths = sorted((tmp_path / "originals").rglob("*.png"))
        return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in paths}

    before = state()
    for form in OF_CLASSES:
        for link in Link:
            export(items, tmp_path / f"{form}-{link}", format=form, link=link)
    assert state() == before


class_names = (
    st.text(st.characters(exclude_categories=("Cs", "Cc"), include_characters="/\\:.*?%~ _"), min_size=1, max_size=80)
    .map(str.strip)
    .filter(bool)
)
odd_names = st.sampled_from(["train", "unlabelled", "CON", "..", ".", "a/b", "manifest.json", "Cat", "cat", "é" * 150])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    names=st.lists(class_names | odd_names, min_size=1, max_size=6, unique=True),
    splits=st.lists(st.sampled_from(["", "train", "val", "fold one", "a/b"]), min_size=1, max_size=3),
    form=st.sampled_from(WHOLE),
)
def test_classes_and_splits_with_any_name_read_back(
    names: list[str], splits: list[str], form: ExportFormat, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("odd")
    items = [
        item(folder / "originals", f"{at}/x.png", at, None, name, split=splits[at % len(splits)])
        for at, name in enumerate(names)
    ]
    out = export(items, folder / "out", Source("odd", "classification", tuple(names)), format=form)
    assert labels_by_hash(out) == resolved(items)


def plan_of(items: list[ExportItem], **wishes: object) -> ExportPlan:
    return plan_export(SOURCE, items, ExportOptions(**wishes))  # type: ignore[arg-type]


def test_a_patch_holds_only_the_changed_images(items: list[ExportItem]) -> None:
    from core.data.patch.change import changes_of

    changes = changes_of(plan_of(items, format=ExportFormat.PATCH))
    assert [(each.path, each.old, each.new) for each in changes] == [
        ("bird/1.png", "bird", None),
        ("cat/2.png", "cat", "dog"),
        ("dog/2.png", "dog", "cat"),
        ("dog/3.png", "dog", None),
    ]
    assert {each.verdict for each in changes} == {Verdict.ACCEPT, Verdict.AMBIGUOUS, Verdict.EXCLUDE}
