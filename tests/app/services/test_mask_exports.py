"""Exports of masks: from the database to a folder that reads back, pixel by pixel, as what was resolved."""

import csv
import json
import signal
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from app.services import reviews
from app.services.app_context import AppContext
from app.services.exports import jobs as exports
from app.services.exports.jobs import ExportRequest
from app.services.masks import current as masks
from app.services.reviews import ActKey, Choice
from core.data.export.items import ExportFormat, ExportOptions, Link, UnusablePolicy
from core.data.export.placing import content_hash
from core.data.formats import voc
from core.data.formats.detect import FORMATS, detect
from core.data.formats.source import ReadOptions
from core.data.masks.items import Per
from core.data.masks.pixels import Mask
from core.data.masks.reading import read_masks
from core.types import IGNORE, ClassTable, ExportError, FindingFilter, IntArray, JobStatus, Verdict
from db.models import SampleRow
from db.queries import exports as rows, snapshots
from tests.app.small import add_dataset
from tools.fixtures.scenes import CAR, TABLE, add_round, add_scenes, open_home

OF_MASKS = [form for form in ExportFormat if form.of_masks]
COUNT = 6


@pytest.fixture
def reviewed(tmp_path: Path) -> Iterator[AppContext]:
    """Return six scenes and one nobody labelled, with every kind of verdict, an edit and an accept-all."""
    opened = open_home(tmp_path / "home")
    add_round(opened, add_scenes(opened, tmp_path / "originals", COUNT + 1, width=48, height=36, unlabelled=1))
    verdicts = [Verdict.ACCEPT, Verdict.KEEP, Verdict.AMBIGUOUS, Verdict.EXCLUDE, Verdict.SECOND_OPINION]
    for finding, verdict in enumerate(verdicts, start=1):
        reviews.decide(opened, [Choice(finding, verdict)], by="ada")
    reviews.decide(opened, [Choice(7, Verdict.RELABEL, CAR)], by="grace")
    version, mask = masks.read_mask(opened, 6)
    edited = mask.copy()
    edited[20:30, 5:15] = CAR
    packed = zlib.compress(edited.tobytes())
    masks.save_edit(opened, 6, masks.EditContext(finding_id=6), packed, base=version, by="ada", key=ActKey("x", 1))
    reviews.accept_all(opened, FindingFilter(round_id=1, min_confidence=0.5), by="ada")
    yield opened
    opened.database.close()


def export(app_context: AppContext, folder: Path, form: ExportFormat, **options: object) -> rows.ExportInfo:
    request = ExportRequest(dataset_id=1, options=ExportOptions(format=form, **options), folder=str(folder))  # type: ignore[arg-type]
    return exports.run_export(app_context, exports.add_export(app_context, request).id)


def read_back(folder: Path) -> dict[str, tuple[IntArray | None, str]]:
    """Return (mask, split) by content, as a stranger's import would find them."""
    listing = FORMATS[detect(folder).format].read(folder, ReadOptions())
    samples = list(listing.samples)
    assert not listing.problems.kept
    assert listing.table
    assert listing.table.names == TABLE.names
    found: dict[str, tuple[IntArray | None, str]] = {}
    for sample in samples:
        mask = next(read_masks([(sample.mask, 48, 36)], listing.table)) if sample.mask else None
        assert not isinstance(mask, Exception)
        found[content_hash(Path(sample.path))] = (mask, sample.split)
    return found


def resolved(app_context: AppContext) -> dict[str, IntArray]:
    with app_context.database.read() as session:
        samples = snapshots.samples_of(session, 1)
    return {sample.content_hash: masks.read_mask(app_context, sample.id)[1] for sample in samples if sample.mask_hash}


def table(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("form", OF_MASKS)
def test_exported_masks_read_back_bit_for_bit(reviewed: AppContext, tmp_path: Path, form: ExportFormat) -> None:
    done = export(reviewed, tmp_path / "out", form)
    assert (done.status, done.message) == (JobStatus.DONE, "")
    found, expected = read_back(tmp_path / "out"), resolved(reviewed)
    assert set(found) == set(expected)
    for content, (mask, split) in found.items():
        np.testing.assert_array_equal(mask, expected[content])
        assert split in ("train", "test")


@pytest.mark.parametrize("form", OF_MASKS)
def test_manifest_and_card_contain_the_evidence_of_accepted_regions(
    reviewed: AppContext, tmp_path: Path, form: ExportFormat
) -> None:
    done = export(reviewed, tmp_path / "out", form)
    assert done.manifest is not None
    known = done.manifest["known"]
    (act,) = known["bulk_acts"]
    assert (act["annotator"], act["certified"], act["threshold"], act["precision"]) == ("ada", False, 0.5, None)
    assert act["text"].startswith("Not certified. Precision unknown")
    assert known["wrong_labels"]["estimate"] is None
    assert known["wrong_labels"]["text"].startswith("Wrong regions: unknown")
    card = (tmp_path / "out" / "README.md").read_text()
    assert "Precision unknown" in card
    assert "Wrong regions: unknown" in card


@pytest.mark.parametrize("form", OF_MASKS)
def test_two_exports_of_one_state_are_byte_for_byte_equal(
    reviewed: AppContext, tmp_path: Path, form: ExportFormat
) -> None:
    one, two = (export(reviewed, tmp_path / name, form) for name in ("one", "two"))
    assert one.manifest == two.manifest
    files = {path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file()}
    assert files == {path.relative_to(tmp_path / "two") for path in (tmp_path / "two").rglob("*") if path.is_file()}
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_unlabelled_images_are_exported_in_petracs_layout(reviewed: AppContext, tmp_path: Path) -> None:
    export(reviewed, tmp_path / "out", ExportFormat.CAMVID, unlabelled=UnusablePolicy.APART)
    folders = {path.parent.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.png")}
    assert folders == {"train", "train_labels", "test", "test_labels", "unlabeled/test"}
    assert sum(mask is None for mask, _ in read_back(tmp_path / "out").values()) == 1


def test_an_image_labelled_from_scratch_is_exported_with_its_mask_and_manifest_line(
    reviewed: AppContext, tmp_path: Path
) -> None:
    version, mask = masks.read_mask(reviewed, COUNT + 1)
    painted = mask.copy()
    painted[5:9, 5:15] = CAR
    for seq, about in enumerate((masks.EditContext(round_id=1), masks.EditContext()), start=10):
        painted[seq] = CAR
        packed = zlib.compress(painted.tobytes())
        saved = masks.save_edit(reviewed, COUNT + 1, about, packed, base=version, by="ada", key=ActKey("y", seq))
        version = saved.version
    done = export(reviewed, tmp_path / "out", ExportFormat.MASK_PAIRS)
    (image,) = [one for one in table(tmp_path / "out", "images.csv") if not one["given_mask"]]
    assert (image["mask"], int(image["pixels_changed"])) == (version, int((painted == CAR).sum()))
    lines = [one for one in table(tmp_path / "out", "regions.csv") if one["image"] == image["file"]]
    assert [(one["verdict"], one["round"], one["x"], one["given"]) for one in lines] == [
        ("relabel", "1", "", ""),
        ("relabel", "", "", ""),
    ]
    assert lines[1]["mask"] == version
    assert done.manifest["counts"]["edited"] == 2


def test_the_manifest_counts_pixels_regions_and_images(reviewed: AppContext, tmp_path: Path) -> None:
    done = export(reviewed, tmp_path / "out", ExportFormat.VOC)
    assert done.manifest == json.loads((tmp_path / "out" / "manifest.json").read_text())
    counts = done.manifest["counts"]
    assert (counts["items"], counts["edited"], counts["left_out"]) == (COUNT, 1, {"unlabelled": 1})
    assert counts["by_verdict"] == {"accept": 6, "ambiguous": 1, "exclude": 1, "keep": 1, "relabel": 2}
    assert counts["by_method"] == {"bulk": 5, "person": 6}
    assert counts["pixels_changed"] == sum(pair["count"] for pair in counts["by_pair"]) > 0
    assert any(pair["label"] is None for pair in counts["by_pair"])
    request = ExportRequest(dataset_id=1, options=ExportOptions(format=ExportFormat.VOC))
    assert exports.preview(reviewed, request).counts == counts
    assert done.manifest["files"]["tables"]["regions.csv"] == content_hash(tmp_path / "out" / "regions.csv")


def test_every_region_and_image_records_the_origin_of_its_mask(reviewed: AppContext, tmp_path: Path) -> None:
    export(reviewed, tmp_path / "out", ExportFormat.MASK_PAIRS)
    regions = table(tmp_path / "out", "regions.csv")
    assert list(regions[0]) == [
        "image", "x", "y", "width", "height", "area", "given", "label", "verdict", "method", "annotator",
        "decided_at", "round", "confidence", "changeset", "mask",
    ]  # fmt: skip
    accepted = next(one for one in regions if one["verdict"] == "accept" and one["method"] == "person")
    assert (accepted["given"], accepted["label"], accepted["annotator"], accepted["round"]) == (
        "road",
        "car",
        "ada",
        "1",
    )
    assert float(accepted["confidence"]) == 0.97
    edited = next(one for one in regions if one["mask"])
    images = {one["file"]: one for one in table(tmp_path / "out", "images.csv")}
    assert images[edited["image"]]["mask"] != images[edited["image"]]["given_mask"]
    assert int(images[edited["image"]]["pixels_changed"]) > 0
    assert {one["verdict"] for one in regions} == {"accept", "keep", "ambiguous", "exclude", "relabel"}


@pytest.mark.parametrize("treatment", [UnusablePolicy.LEAVE_OUT, UnusablePolicy.KEEP_GIVEN])
def test_ambiguous_regions_are_ignored_or_keep_their_class(
    reviewed: AppContext, tmp_path: Path, treatment: UnusablePolicy
) -> None:
    done = export(reviewed, tmp_path / "out", ExportFormat.COCO, ambiguous=treatment)
    assert done.status is JobStatus.DONE, done.message
    with reviewed.database.read() as session:
        third = session.get_one(SampleRow, 3).content_hash
    mask, _ = read_back(tmp_path / "out")[third]
    ambiguous = next(one for one in table(tmp_path / "out", "regions.csv") if one["verdict"] == "ambiguous")
    x, y, width, height = (int(ambiguous[name]) for name in ("x", "y", "width", "height"))
    expected = IGNORE if treatment is UnusablePolicy.LEAVE_OUT else TABLE.names.index(ambiguous["given"])
    assert mask is not None
    assert (mask[y : y + height, x : x + width] == expected).all()


@pytest.mark.parametrize("link", list(Link))
def test_images_are_linked_or_copied_and_never_changed(reviewed: AppContext, tmp_path: Path, link: Link) -> None:
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in (tmp_path / "originals").iterdir()}
    done = export(reviewed, tmp_path / "out", ExportFormat.VOC, link=link)
    assert done.manifest
    assert done.manifest["files"]["placed"] == {link.value: COUNT}
    after = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in (tmp_path / "originals").iterdir()}
    assert after == before


def test_each_kind_of_dataset_has_its_own_export_formats(reviewed: AppContext, tmp_path: Path) -> None:
    classes = add_dataset(reviewed, [0, 1])
    for dataset, form in ((1, ExportFormat.CLASS_FOLDERS), (1, ExportFormat.PATCH), (classes, ExportFormat.VOC)):
        request = ExportRequest(dataset_id=dataset, options=ExportOptions(format=form))
        with pytest.raises(ExportError, match="choose from"):
            exports.add_export(reviewed, request)
        with pytest.raises(ExportError, match="choose from"):
            exports.preview(reviewed, request)
    with pytest.raises(ExportError, match="cannot stand apart"):
        export(reviewed, tmp_path / "out", ExportFormat.VOC, excluded=UnusablePolicy.APART)


def test_annotation_formats_export_masks_for_each_class_or_piece(reviewed: AppContext, tmp_path: Path) -> None:
    counts = {}
    for per in (Per.USUAL, Per.CLASS, Per.PIECE):
        assert export(reviewed, tmp_path / f"coco-{per}", ExportFormat.COCO, per=per).status is JobStatus.DONE
        files = (tmp_path / f"coco-{per}" / "annotations").glob("*.json")
        counts[per] = sum(len(json.loads(file.read_text())["annotations"]) for file in files)
    assert counts[Per.CLASS] < counts[Per.PIECE] == counts[Per.USUAL]
    done = export(reviewed, tmp_path / "pairs", ExportFormat.MASK_PAIRS, per=Per.PIECE)
    assert done.status is JobStatus.DONE, done.message
    assert len(list((tmp_path / "pairs" / "piece_masks").rglob("*.png"))) == counts[Per.PIECE]
    with pytest.raises(ExportError, match="only coco and mask-pairs are written for each class"):
        export(reviewed, tmp_path / "voc", ExportFormat.VOC, per=Per.CLASS)


def test_masks_that_read_back_differently_are_not_kept(
    reviewed: AppContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = voc.save_mask
    monkeypatch.setattr(voc, "save_mask", lambda path, mask: whole(path, mask.rotate(180)))
    failed = export(reviewed, tmp_path / "out", ExportFormat.VOC)
    assert failed.status is JobStatus.FAILED
    assert "reads back differently" in failed.message
    assert list(tmp_path.glob("*out*")) == []


def test_an_export_of_masks_can_be_cancelled_during_writing_and_reading_back(
    reviewed: AppContext, tmp_path: Path
) -> None:
    for moment in (0, 3, COUNT + 3):  # before the images, between masks, while they are read back
        info = exports.add_export(
            reviewed,
            ExportRequest(dataset_id=1, options=ExportOptions(format=ExportFormat.VOC), folder=str(tmp_path / "out")),
        )
        asked = iter(range(10**6))
        stopped = exports.run_export(reviewed, info.id, should_stop=lambda: next(asked) >= moment)  # noqa: B023
        assert stopped.status is JobStatus.CANCELLED
        assert list(tmp_path.glob("*out*")) == []


def test_a_full_disk_leaves_nothing(reviewed: AppContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = voc.save_mask

    def full(path: Path, mask: Mask) -> None:
        whole(path, mask)  # type: ignore[arg-type]
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(voc, "save_mask", full)
    failed = export(reviewed, tmp_path / "out", ExportFormat.VOC)
    assert "the disk is full" in failed.message
    assert list(tmp_path.glob("*out*")) == []


def test_many_classes_are_exported_in_16_bits_but_not_in_a_palette(tmp_path: Path) -> None:
    opened = open_home(tmp_path / "home")
    many = ClassTable(tuple(f"class {k}" for k in range(300)), tuple(f"#{k:06x}" for k in range(300)))
    add_round(opened, add_scenes(opened, tmp_path / "originals", 2, width=48, height=36, table=many))
    reviews.accept_all(opened, FindingFilter(round_id=1), by="ada")
    for form in OF_MASKS:
        done = export(opened, tmp_path / form, form)
        expected = JobStatus.FAILED if form is ExportFormat.VOC else JobStatus.DONE
        assert done.status is expected, done.message
    opened.database.close()


KILLED = """
import os, signal, sys
from pathlib import Path
from app.services.exports import jobs as exports
from core.data.formats import voc
from tools.fixtures.scenes import open_home

whole, written = voc.save_mask, []

def save(path, mask):
    whole(path, mask)
    written.append(path)
    if len(written) == 3:
        os.kill(os.getpid(), signal.SIGKILL)

voc.save_mask = save
exports.run_export(open_home(Path(sys.argv[1])), int(sys.argv[2]))
"""


def test_an_export_killed_while_writing_masks_leaves_no_target_and_is_run_again(
    reviewed: AppContext, tmp_path: Path
) -> None:
    request = ExportRequest(dataset_id=1, options=ExportOptions(format=ExportFormat.VOC), folder=str(tmp_path / "out"))
    info = exports.add_export(reviewed, request)
    command = [sys.executable, "-c", KILLED, str(tmp_path / "home"), str(info.id)]
    assert subprocess.run(command, cwd=Path(__file__).parents[3], check=False).returncode == -signal.SIGKILL
    assert not (tmp_path / "out").exists()
    assert exports.run_export(reviewed, info.id).status is JobStatus.DONE
    assert [path.name for path in tmp_path.glob("*out*")] == ["out"]
