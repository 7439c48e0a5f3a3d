"""Any table that import accepts takes the patch of its dataset, and gives it back."""

import csv
import io
import json
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings, strategies as st

from core.data.export.items import ExportFormat, ExportOptions, Source, plan_export
from core.data.export.placing import content_hash
from core.data.export.write import write_export
from core.data.formats.detect import FORMATS
from core.data.formats.source import ReadOptions, SourceFormat
from core.data.formats.table import open_table
from core.data.patch import LabelChange, Patch, apply, revert
from core.types import ExportError
from tests.core.data.export.test_write import item

PLAIN = ReadOptions(literal_labels=False)
NOTHING = blake2b(b"", digest_size=16).hexdigest()
SPELT = ("cat", "=cmd()", "'=cmd()", "''@x", "-1", "+x", "NA", "1.0", "a, b")  # as spreadsheets and pandas misread them
TABLES = ("metadata.csv", "metadata.jsonl", "labels.csv", "labels.parquet")
FORM_OF = {
    ExportFormat.CSV: SourceFormat.MANIFEST,
    ExportFormat.PARQUET: SourceFormat.MANIFEST,
    ExportFormat.HUGGING_FACE: SourceFormat.HUGGINGFACE,
    ExportFormat.HUGGING_FACE_JSONL: SourceFormat.HUGGINGFACE,
}
NAMES, NUMBERS = ("cat", "dog", "K\u00e4se", "a b"), ("0", "1", "2", "30")


def labels_of(
    path: Path, form: SourceFormat = SourceFormat.MANIFEST, options: ReadOptions = PLAIN
) -> dict[str, str | None]:
    return {sample.name: sample.label for sample in FORMATS[form].read(path, options).samples}


def patch_of(before: dict[str, str | None], wanted: list[str | None], columns: dict[str, str] | None = None) -> Patch:
    pairs = zip(sorted(before), wanted, strict=False)
    changes = tuple(LabelChange(name, NOTHING, before[name], new) for name, new in pairs if before[name] != new)
    return Patch("pets", changes, columns or {})


def check(
    path: Path, wanted: list[str | None], options: ReadOptions = PLAIN, columns: dict[str, str] | None = None
) -> None:
    before, written = labels_of(path, options=options), path.read_bytes()
    patch = patch_of(before, wanted, columns)
    applied = apply(patch, path)
    assert (applied.changed, applied.missing) == (len(patch.changes), ())
    assert labels_of(path, options=options) == before | {change.path: change.new for change in patch.changes}
    revert(patch, path)
    assert labels_of(path, options=options) == before
    if not patch.changes:
        assert path.suffix == ".parquet" or path.read_bytes() == written


@dataclass(frozen=True)
class Form:
    """Dialect of a CSV file."""

    encoding: str
    delimiter: str
    names: tuple[str, str]
    has_index: bool
    names_delimiter: bool
    ending: str


FORMS = st.builds(
    Form,
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"]),
    delimiter=st.sampled_from(",;\t|"),
    names=st.sampled_from([("path", "label"), ("Filename", "Class"), (" image ", " category")]),
    has_index=st.booleans(),
    names_delimiter=st.booleans(),
    ending=st.sampled_from(["\n", "\r\n"]),
)
CELLS = st.tuples(st.sampled_from([*NAMES, "", "NA", "1.0"]), st.sampled_from(["", " ", "  "]))


@settings(max_examples=80, deadline=None)
@given(rows=st.lists(CELLS, max_size=6), wanted=st.lists(st.sampled_from([*NAMES, None]), max_size=6), form=FORMS)
def test_a_csv_of_any_dialect_accepts_its_patch(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], wanted: list[str | None], form: Form
) -> None:
    text = io.StringIO()
    if form.names_delimiter:
        text.write(f"sep={form.delimiter}{form.ending}")
    writer = csv.writer(text, delimiter=form.delimiter, lineterminator=form.ending)
    writer.writerow([*([""] * form.has_index), *form.names, "more"])
    path = tmp_path_factory.mktemp("csv") / "labels.csv"
    for number, (label, blanks) in enumerate(rows):
        index = [str(number)] * form.has_index
        writer.writerow([*index, f"{number}.png{blanks}", f"{blanks}{label}", "x, y; z"])
        (path.parent / f"{number}.png").touch()  # a file that is not there would keep its blanks
    path.write_bytes(text.getvalue().encode(form.encoding))
    check(path, wanted)


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(st.sampled_from([*NUMBERS, None]), min_size=1, max_size=6),
    wanted=st.lists(st.sampled_from([*NUMBERS, None]), max_size=6),
    kind=st.sampled_from(
        [pa.int64(), pa.float64(), pa.string(), pa.dictionary(pa.int32(), pa.string()), pa.list_(pa.string())]
    ),
)
def test_parquet_of_any_type_accepts_its_patch(
    tmp_path_factory: pytest.TempPathFactory, rows: list[str | None], wanted: list[str | None], kind: pa.DataType
) -> None:
    def cell(label: str | None) -> object:
        if label is None:
            return None
        if pa.types.is_list(kind):
            return [label]
        return float(label) if kind in (pa.int64(), pa.float64()) else label

    columns = {
        "image": [f"{number}.png" for number in range(len(rows))],
        "label": pa.array([cell(label) for label in rows], type=kind),
    }
    path = tmp_path_factory.mktemp("parquet") / "labels.parquet"
    pq.write_table(pa.table(columns), path)
    check(path, wanted)
    assert pq.read_schema(path).field("label").type == kind


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(st.sampled_from([1, 2.0, 3, None, "a", ["b"]]), min_size=1, max_size=6),
    wanted=st.lists(st.sampled_from(["1", "2", "a", None]), max_size=6),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_json_lines_accept_their_patch(
    tmp_path_factory: pytest.TempPathFactory, rows: list[object], wanted: list[str | None], encoding: str
) -> None:
    path = tmp_path_factory.mktemp("jsonl") / "labels.jsonl"
    lines = [json.dumps({"file_name": f"{number}.png", "label": label}) for number, label in enumerate(rows)]
    path.write_text("\n".join(lines), encoding=encoding)
    check(path, wanted)


def test_a_patch_records_the_columns_chosen_at_import(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("pic,breed,label\n1.png,pug,dog\n2.png,tabby,cat\n")
    options = ReadOptions(path_column="pic", label_column="breed", literal_labels=False)
    check(path, ["beagle"], options, {"path": "pic", "label": "breed"})


def test_one_hot_columns_accept_their_patch(tmp_path: Path) -> None:
    path = tmp_path / "_classes.csv"
    path.write_text("filename, cat, dog\n0.png, 1, 0\n1.png, 0, 1\n2.png, 0, 0\n")
    check(path, ["dog", None, "cat"])
    with pytest.raises(ExportError, match="no column for the class cow"):
        apply(patch_of({"0.png": "cat"}, ["cow"]), path)


def test_a_label_outside_the_tables_encoding_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("path,label\n1.png,K\u00e4se\n", encoding="cp1252")
    before = path.read_bytes()
    with pytest.raises(ExportError, match="save the table as UTF-8"):
        apply(patch_of({"1.png": "K\u00e4se"}, ["\u732b"]), path)
    assert path.read_bytes() == before
    assert open_table(path).text.encoding == "cp1252"


def test_rows_without_extensions_or_from_another_machine_accept_their_patch(tmp_path: Path) -> None:
    root = tmp_path / "images"
    for name in ("cat/1.png", "dog/2.jpg"):
        (root / name).parent.mkdir(parents=True)
        (root / name).touch()
    path = tmp_path / "labels.csv"
    path.write_text("path,label\nC:\\x\\cat\\1,cat\nC:\\x\\dog\\2.jpg,dog\n")
    check(path, ["dog", "cat"], ReadOptions(image_root=str(root), literal_labels=False))


ONE_HOT = {
    "bool": [True, False, False],
    "string": ["1", "0", "0"],
    "large_string": ["True", "False", "False"],
    "int8": [1, 0, 0],
    "float": [1.0, 0.0, 0.0],
    "dictionary": ["true", "false", "false"],
}


@pytest.mark.parametrize("kind", ONE_HOT)
def test_one_hot_columns_of_parquet_keep_their_type_and_spelling(tmp_path: Path, kind: str) -> None:
    text = pa.dictionary(pa.int8(), pa.string())
    type_ = text if kind == "dictionary" else pa.type_for_alias(kind)
    cat, dog = ONE_HOT[kind], [ONE_HOT[kind][at] for at in (1, 0, 1)]
    columns = {"cat": pa.array(cat, type_), "dog": pa.array(dog, type_)}
    path = tmp_path / "table.parquet"
    pq.write_table(pa.table({"path": ["a.png", "b.png", "c.png"], **columns}), path)
    before = pq.read_table(path)
    check(path, ["dog", "cat", "cat"])
    assert pq.read_table(path).equals(before)


@pytest.mark.parametrize("true", [True, 1, "1", "true", "True"])
def test_one_hot_json_lines_keep_their_spelling(tmp_path: Path, true: bool | int | str) -> None:  # noqa: FBT001
    false = json.loads(json.dumps(true).replace("1", "0").replace("true", "false").replace("True", "False"))
    path = tmp_path / "table.jsonl"
    rows = [{"path": "a.png", "cat": true, "dog": false}, {"path": "b.png", "cat": false, "dog": true}]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    before = path.read_text()
    check(path, ["dog", "cat"])
    assert path.read_text() == before


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_a_class_without_a_one_hot_column_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"table{suffix}"
    rows = [{"path": "a.png", "cat": 1, "dog": 0}, {"path": "b.png", "cat": 0, "dog": 1}]
    if suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif suffix == ".csv":
        path.write_text("path,cat,dog\na.png,1,0\nb.png,0,1\n")
    else:
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    before = path.read_bytes()
    with pytest.raises(ExportError, match="no column for the class bird"):
        apply(patch_of(labels_of(path), ["bird"]), path)
    assert path.read_bytes() == before


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(st.tuples(st.sampled_from(SPELT), st.sampled_from([*SPELT, None])), min_size=1, max_size=5),
    form=st.sampled_from([*FORM_OF]),
    raw=st.booleans(),
    moved=st.booleans(),
)
def test_a_patch_applies_to_any_exported_table_and_can_be_reverted(
    tmp_path_factory: pytest.TempPathFactory, *, rows: list[tuple[str, str | None]], form: ExportFormat, raw: bool,
    moved: bool,
) -> None:  # fmt: skip
    root = tmp_path_factory.mktemp("export")
    items = [item(root / "originals", f"{at}.png", at, label, label) for at, (label, _) in enumerate(rows)]
    source = Source("pets", "classification", tuple(dict.fromkeys(label for label, _ in rows)))
    write_export(plan_export(source, items, ExportOptions(format=form, raw=raw)), root / "out", versions={})
    path = next(root / "out" / name for name in TABLES if (root / "out" / name).exists())
    if moved and not form.with_files:
        path = path.rename(root / path.name)
    pairs = [(each, new) for each, (_, new) in zip(items, rows, strict=True)]
    changes = tuple(
        LabelChange(each.name, each.content_hash, each.label, new) for each, new in pairs if each.label != new
    )
    written, patch = path.read_bytes(), Patch("pets", changes)
    assert apply(patch, path).changed == len(changes)
    if form.with_files or not moved:
        read = FORMATS[FORM_OF[form]].read(path.parent if form.with_files else path, ReadOptions())
        after = {content_hash(Path(sample.path)): sample.label for sample in read.samples}
        assert after == {each.content_hash: new for each, new in pairs}
    revert(patch, path)
    assert path.suffix == ".parquet" or path.read_bytes() == written
