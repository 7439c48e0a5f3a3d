"""Patches: applied and reverted without a trace; one that does not fit changes nothing."""

import csv
import json
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings, strategies as st

from core.data.export.items import ExportFormat, ExportItem, ExportOptions, LabelOrigin, Source, plan_export
from core.data.export.tables import write_parquet
from core.data.export.write import write_export
from core.data.patch import LabelChange, Patch, apply, folder, read_patch, revert
from core.types import DatasetError, ExportError

CLASSES = ("cat", "dog", "a/b", 'odd, "name"', "é")


def digest(data: bytes) -> str:
    return blake2b(data, digest_size=16).hexdigest()


def tree(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def folders(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_dir()}


def change(path: str, old: str | None, new: str | None, data: bytes | None = None) -> LabelChange:
    return LabelChange(path, digest(path.encode() if data is None else data), old, new)


def class_folder(root: Path, paths: list[str]) -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(path.encode())
    return root


PETS = ["train/cat/1.png", "train/cat/deep/2.png", "train/dog/1.png", "test/dog/1.png", "test/cat/3.png"]
PET_CHANGES = Patch(
    "pets",
    (
        change("test/cat/3.png", "cat", None),
        change("train/cat/1.png", "cat", "dog"),
        change("train/cat/deep/2.png", "cat", "new class"),
        change("train/dog/1.png", "dog", "cat"),
    ),
)


def test_images_move_to_their_new_class_and_back(tmp_path: Path) -> None:
    root = class_folder(tmp_path / "copy", PETS)
    before, before_folders = tree(root), folders(root)
    assert apply(PET_CHANGES, root).changed == 4
    after = {path for path in tree(root) if not path.startswith(".")}
    assert {"train/new class/deep/2.png", "test/dog/1.png"} < after
    assert not any(path.startswith("test/cat") for path in after)
    assert sum(path.startswith("train/dog/1") for path in after) == 1
    revert(PET_CHANGES, root)
    assert tree(root) == before
    assert folders(root) == before_folders


def test_applying_twice_changes_nothing_more(tmp_path: Path) -> None:
    root = class_folder(tmp_path / "copy", PETS)
    before = tree(root)
    first = apply(PET_CHANGES, root)
    once = tree(root)
    second = apply(PET_CHANGES, root)
    assert tree(root) == once
    assert (first.changed, first.already, second.changed, second.already) == (4, 0, 0, 4)
    revert(PET_CHANGES, root)
    assert tree(root) == before


def test_an_interrupted_application_continues_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, whole = class_folder(tmp_path / "copy", PETS), class_folder(tmp_path / "whole", PETS)
    make = folder._make

    def killed(root: Path, moves: list[folder.Move]) -> int:
        make(root, moves[:2])
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(folder, "_make", killed)
        with pytest.raises(KeyboardInterrupt):
            apply(PET_CHANGES, root)
    applied = apply(PET_CHANGES, root)
    assert (applied.changed, applied.already) == (2, 2)
    apply(PET_CHANGES, whole)
    assert tree(root) == tree(whole)


@pytest.mark.parametrize(
    "other",
    [change("train/dog/1.png", "dog", "cat", b"other content"), change("train/dog/1.png", "bird", "cat")],
    ids=["content", "label"],
)
def test_a_patch_that_does_not_match_moves_nothing(tmp_path: Path, other: LabelChange) -> None:
    root = class_folder(tmp_path / "copy", PETS)
    before = tree(root)
    with pytest.raises(ExportError, match="left as it is"):
        apply(Patch("pets", (PET_CHANGES.changes[0], other)), root)
    assert tree(root) == before


def test_a_patch_can_be_applied_to_part_of_the_dataset(tmp_path: Path) -> None:
    root = class_folder(tmp_path / "copy", PETS[:2])
    applied = apply(PET_CHANGES, root)
    assert applied.changed == 2
    assert applied.missing == ("test/cat/3.png", "train/dog/1.png")


def test_a_patch_is_reverted_only_where_it_was_applied(tmp_path: Path) -> None:
    root = class_folder(tmp_path / "copy", PETS)
    with pytest.raises(ExportError, match="does not remember"):
        revert(PET_CHANGES, root)


def test_an_export_is_refused_as_the_target_of_a_patch(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"tool": "outfold", "kind": "export"}')
    with pytest.raises(ExportError, match="copy of the dataset"):
        apply(PET_CHANGES, tmp_path)


def test_only_the_patched_lines_of_a_table_change(tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    text = (
        '\ufeffpath;"label";note\r\n'
        '"cat/1.png" ; cat;"kept  as ""it"" is"\r\n'
        "\r\n"
        'cat/2.png;"cat";"two\r\nlines"\r\n'
        "cat/3.png;cat;x"
    )
    table.write_bytes(text.encode())
    apply(Patch("pets", (change("cat/2.png", "cat", "d;og"),)), table)
    assert table.read_bytes().decode() == text.replace('cat/2.png;"cat"', 'cat/2.png;"d;og"')


def test_rows_are_found_by_the_end_of_their_path_and_checked_by_content(tmp_path: Path) -> None:
    root = class_folder(tmp_path / "pets", PETS)
    table = tmp_path / "all.csv"
    table.write_text("path,label\n" + "".join(f"{root / path},{path.split('/')[1]}\n" for path in PETS))
    applied = apply(PET_CHANGES, table)
    assert (applied.changed, applied.unchecked) == (4, 0)
    with table.open(newline="") as file:
        labels = {Path(row["path"]).relative_to(root).as_posix(): row["label"] for row in csv.DictReader(file)}
    assert labels["train/cat/1.png"] == "dog"
    assert labels["test/cat/3.png"] == ""
    assert labels["test/dog/1.png"] == "dog"


def test_a_table_with_another_label_is_left_unchanged(tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    table.write_text("path,label\ncat/1.png,bird\ncat/2.png,cat\n")
    with pytest.raises(ExportError, match="is bird, not cat"):
        apply(Patch("pets", (change("cat/1.png", "cat", "dog"), change("cat/2.png", "cat", "dog"))), table)
    assert table.read_text() == "path,label\ncat/1.png,bird\ncat/2.png,cat\n"


def test_a_table_without_labels_is_refused_with_the_column_it_needs(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("path\ncat/1.png\n")
    with pytest.raises(DatasetError, match="column `label`"):
        apply(PET_CHANGES, tmp_path / "labels.csv")


labels = st.none() | st.sampled_from(CLASSES)


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(st.tuples(labels, labels), min_size=1, max_size=12),
    form=st.sampled_from(["csv", "jsonl", "parquet"]),
)
def test_reverting_a_patch_restores_the_table(
    rows: list[tuple[str | None, str | None]], form: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    tmp_path = tmp_path_factory.mktemp("patch")
    items = [
        ExportItem(
            path=f"/data/{at}.png",
            name=f"{at}.png",
            content_hash=digest(b"%d" % at),
            given=old,
            label=new,
            verdict="" if new or not old else "exclude",
        )
        for at, (old, new) in enumerate(rows)
    ]
    source = Source("pets", "classification", CLASSES)
    patches = []
    for wanted in (ExportFormat.PATCH, ExportFormat.PATCH_CSV):
        write_export(plan_export(source, items, ExportOptions(format=wanted)), tmp_path / wanted, versions={})
        patches.append(read_patch(tmp_path / wanted))
    assert patches[0].changes == patches[1].changes

    table = tmp_path / f"labels.{form}"
    records = [{"path": each.name, "label": each.given, "content_hash": each.content_hash} for each in items]
    if form == "csv":
        with table.open("w", newline="") as file:
            writer = csv.DictWriter(file, ["path", "label", "content_hash"], lineterminator="\n")
            writer.writeheader()
            writer.writerows(records)
    elif form == "jsonl":
        table.write_text("".join(json.dumps(each, ensure_ascii=False) + "\n" for each in records))
    else:
        from core.data.export.tables import COLUMNS

        write_parquet(table, [dict.fromkeys(COLUMNS) | each for each in records])
    before = pq.read_table(table) if form == "parquet" else table.read_bytes()
    applied = apply(patches[0], table)
    assert applied.changed == sum(old != new for old, new in rows)
    revert(patches[0], table)
    assert (pq.read_table(table) if form == "parquet" else table.read_bytes()) == before


@settings(max_examples=40, deadline=None)
@given(
    images=st.dictionaries(
        st.tuples(
            st.sampled_from(["", "train/", "val/"]),
            st.sampled_from(["cat", "dog"]),
            st.sampled_from(["1.png", "1.PNG"]),
        ),
        st.tuples(st.sampled_from([b"x", b"y"]), st.none() | st.sampled_from(["cat", "dog", "a/b", "CON"])),
        min_size=1,
    )
)
def test_reverting_a_patch_restores_the_folder(
    images: dict[tuple[str, str, str], tuple[bytes, str | None]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("folder")
    changes = []
    for (split, name, file), (data, new) in sorted(images.items()):
        path = f"{split}{name}/{file}"
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
        if new != name:
            changes.append(LabelChange(path, digest(data), name, new))
    before, before_folders = tree(root), folders(root)
    patch = Patch("pets", tuple(sorted(changes, key=lambda each: each.path)))
    apply(patch, root)
    assert sorted(data for path, data in tree(root).items() if "patch-" not in path) == sorted(before.values())
    revert(patch, root)
    assert tree(root) == before
    assert folders(root) == before_folders


def test_a_patch_records_verdict_and_method(tmp_path: Path) -> None:
    item = ExportItem(path="/1.png", name="1.png", content_hash="00", given="cat", label="dog")
    item = replace(item, verdict="accept", method=LabelOrigin.BULK)
    plan = plan_export(
        Source("pets", "classification", ("cat", "dog")), [item], ExportOptions(format=ExportFormat.PATCH)
    )
    write_export(plan, tmp_path / "out", versions={})
    assert read_patch(tmp_path / "out").changes == (LabelChange("1.png", "00", "cat", "dog", "accept", "bulk"),)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"kind": "label patch"}', '{"kind": "label patch", "changes": [1]}'])
def test_a_file_that_is_not_a_patch_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "patch.json").write_text(text)
    with pytest.raises(DatasetError, match="patch"):
        read_patch(tmp_path)
