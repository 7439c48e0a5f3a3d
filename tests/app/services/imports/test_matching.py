"""Content is identity: moved and renamed images keep what is known of them, whatever their paths are now."""

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st
from sqlalchemy import select

from app.services import datasets, reviews
from app.services.app_context import AppContext, open_app
from app.services.exports import jobs as exports
from app.services.exports.jobs import ExportRequest
from app.services.imports import jobs as imports
from app.services.imports.jobs import ImportInfo, ImportRequest
from app.services.imports.matching import match_known, pair_moved
from app.services.rounds import jobs as rounds
from app.settings import Settings
from core.data.export.items import ExportFormat, ExportOptions
from core.types import DatasetError, FindingFilter, JobStatus, Task, Verdict
from db.models import SampleRow, TaggingRow
from db.queries import datasets as dataset_rows, imports as import_rows, incoming
from db.queries.incoming import Address
from tests.app.services.reviewed import NOW, add_round, import_folder
from tests.core.data.formats.drawn import draw_all

NAMES = [f"{name}/{number}.png" for name in ("cat", "dog") for number in range(6)]


def again(app_context: AppContext, dataset_id: int, **changes: object) -> ImportInfo:
    values = {**imports.repeat_request(app_context, dataset_id).to_json(), **changes}
    return imports.run_import(app_context, imports.add_import(app_context, ImportRequest.from_json(values)))


def changes_of(done: ImportInfo) -> dict[str, int]:
    assert done.status is JobStatus.DONE, done.message
    assert done.report is not None
    return {kind: count for kind, count in done.report["changes"].items() if count}


def present(app_context: AppContext) -> dict[str, int]:
    query = select(SampleRow.name, SampleRow.id).where(SampleRow.vanished_at.is_(None))
    with app_context.database.read() as session:
        return dict(session.execute(query).all())


def decide_two(app_context: AppContext, dataset_id: int) -> None:
    """Say that the first cat is a dog, and that the first dog is a cat."""
    round_id = rounds.list_rounds(app_context, dataset_id)[0].id
    ids = present(app_context)
    cards = reviews.page(app_context, FindingFilter(round_id=round_id), limit=50).items
    for name, label in (("cat/0.png", 1), ("dog/0.png", 0)):
        [card] = [card for card in cards if card.sample_id == ids[name]]
        reviews.decide(app_context, [reviews.Choice(card.id, Verdict.RELABEL, label)], by="Ada")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return draw_all(tmp_path / "pets", NAMES)


def test_decisions_follow_images_whose_class_folder_was_renamed(
    app_context: AppContext, root: Path, tmp_path: Path
) -> None:
    dataset_id = import_folder(app_context, root)
    add_round(app_context, dataset_id)
    decide_two(app_context, dataset_id)
    (root / "cat").rename(root / "kitten")
    asked = again(app_context, dataset_id)
    assert asked.status is JobStatus.FAILED
    assert "renamed" in asked.message
    assert sorted(present(app_context)) == NAMES  # nothing was stored
    done = again(app_context, dataset_id, renamed_classes=["cat=kitten"])
    assert changes_of(done) == {"moved": 6, "unchanged": 6}
    assert datasets.get_dataset(app_context, dataset_id).classes == ("kitten", "dog")
    request = ExportRequest(
        dataset_id=dataset_id,
        options=ExportOptions(format=ExportFormat.CLASS_FOLDERS),
        folder=str(tmp_path / "clean"),
    )
    exported = exports.run_export(app_context, exports.add_export(app_context, request).id)
    assert exported.status is JobStatus.DONE, exported.message
    folders = Counter(path.parent.name for path in (tmp_path / "clean").glob("*/*.png"))
    assert folders == {"kitten": 6, "dog": 6}
    assert (tmp_path / "clean" / "kitten" / "0.png").read_bytes() == (root / "dog" / "0.png").read_bytes()
    assert changes_of(again(app_context, dataset_id)) == {"unchanged": 12}  # the rename is not asked for again


def test_a_class_that_is_kept_is_asked_about_once(app_context: AppContext, root: Path) -> None:
    dataset_id = import_folder(app_context, root)
    shutil.rmtree(root / "cat")
    asked = again(app_context, dataset_id)
    assert "the source has no image of the class cat any more, which had 6" in asked.message
    [gone] = imports.gone_classes(asked)
    answer = imports.request_with_answers(asked, renamed=(), kept=[gone.name])
    done = imports.run_import(app_context, imports.add_import(app_context, answer))
    assert changes_of(done) == {"unchanged": 6, "vanished": 6}
    (root / "dog" / "0.png").unlink()
    assert changes_of(again(app_context, dataset_id)) == {"unchanged": 5, "vanished": 1}


@pytest.mark.parametrize("rename", ["cow=kitten", "cat=dog", "cat=", "cat"])
def test_an_impossible_rename_is_refused(rename: str, app_context: AppContext, root: Path) -> None:
    dataset_id = import_folder(app_context, root)
    done = again(app_context, dataset_id, renamed_classes=[rename])
    assert done.status is JobStatus.FAILED
    assert rename in done.message


def test_images_that_swap_places_keep_their_decisions(app_context: AppContext, root: Path) -> None:
    dataset_id = import_folder(app_context, root)
    ids = present(app_context)
    (root / "cat" / "0.png").rename(root / "aside")
    (root / "dog" / "0.png").rename(root / "cat" / "0.png")
    (root / "aside").rename(root / "dog" / "0.png")
    (root / "cat" / "1.png").unlink()
    (root / "cat" / "2.png").rename(root / "cat" / "1.png")
    assert changes_of(again(app_context, dataset_id)) == {"moved": 3, "unchanged": 8, "vanished": 1}
    now = present(app_context)
    assert (now["cat/0.png"], now["dog/0.png"]) == (ids["dog/0.png"], ids["cat/0.png"])
    assert now["cat/1.png"] == ids["cat/2.png"]
    assert ids["cat/1.png"] not in now.values()


def test_a_moved_root_is_recognised_by_its_content(app_context: AppContext, root: Path, tmp_path: Path) -> None:
    dataset_id = import_folder(app_context, root)
    ids = present(app_context)
    root.rename(tmp_path / "elsewhere")
    with pytest.raises(DatasetError, match="“Move” in the menu"):
        imports.add_import(app_context, imports.repeat_request(app_context, dataset_id))
    done = again(app_context, dataset_id, source=str(tmp_path / "elsewhere"))
    assert changes_of(done) == {"moved": 12}
    assert present(app_context) == ids
    assert datasets.get_dataset(app_context, dataset_id).root == str(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").rename(tmp_path / "third")
    (tmp_path / "elsewhere").symlink_to(tmp_path / "third")
    assert changes_of(again(app_context, dataset_id)) == {"moved": 12}
    assert present(app_context) == ids


def test_another_folder_counts_as_moved_only_on_request(app_context: AppContext, root: Path, tmp_path: Path) -> None:
    dataset_id = import_folder(app_context, root)
    shutil.copytree(root, tmp_path / "copy")
    other = draw_all(tmp_path / "other", ["a/1.png", "b/1.png"])
    with pytest.raises(DatasetError, match="“Move” in the menu"):
        again(app_context, dataset_id, source=str(tmp_path / "copy"))
    assert changes_of(again(app_context, dataset_id, source=str(tmp_path / "copy"), moved=True)) == {"moved": 12}
    none = again(app_context, dataset_id, source=str(other), moved=True)
    assert "0 of the dataset's 12 images" in none.message
    assert datasets.get_dataset(app_context, dataset_id).root == str(tmp_path / "copy")


def test_the_copy_that_kept_its_name_is_matched(app_context: AppContext) -> None:
    known = [Address(1, "a/1.png", 0), Address(2, "a/2.png", 0, decided=True), Address(3, "b/3.png", 1)]
    found = [Address(10, "c/2.png", 5), Address(11, "x/a/1.png", 5), Address(12, "c/9.png", 1)]
    assert sorted(pair_moved(known, found)) == [(1, 11), (2, 10), (3, 12)]
    assert pair_moved(known, [Address(13, "z.png", None)]) == [(2, 13)]  # a decision is not left behind


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppContext]:
    home = tmp_path_factory.mktemp("moves") / "home"
    opened = open_app(Settings(home=home, demo=False, embedded_worker=False))
    yield opened
    opened.database.close()


Files = dict[str, str]  # content by path
_files = st.dictionaries(st.sampled_from([f"{a}/{b}" for a in "cde" for b in "1234"]), st.sampled_from("ABCDEFG"))


def bring(app_context: AppContext, dataset_id: int, files: Files) -> None:
    """Import files as an import would, without decoding any."""
    with app_context.database.write() as session:
        number = import_rows.add_import(session, {"name": "moves", "source": "/"})
        rows = [
            {"path": f"/{path}", "name": path, "label": None, "mask_hash": None, "split": "", "group": "",
             "content_hash": content, "width": 4, "height": 4, "bytes": 9, "grey": True, "look_hash": None}
            for path, content in files.items()
        ]  # fmt: skip
        if rows:
            incoming.stage(session, number, rows)
    match_known(app_context, number, dataset_id)
    with app_context.database.write() as session:
        incoming.merge(session, number, dataset_id, NOW)
        incoming.unstage(session, number, 100)


def known(app_context: AppContext, dataset_id: int) -> dict[str, tuple[int, str]]:
    """Return id and content of the present samples by path."""
    query = select(SampleRow.path, SampleRow.id, SampleRow.content_hash).where(
        SampleRow.dataset_id == dataset_id, SampleRow.vanished_at.is_(None)
    )
    with app_context.database.read() as session:
        return {path.removeprefix("/"): (id_, content) for path, id_, content in session.execute(query)}


@settings(max_examples=60, deadline=None)
@given(states=st.lists(_files, min_size=2, max_size=4), decided=st.sets(st.integers(0, 11)))
def test_random_moves_never_lose_or_duplicate_a_decision(
    shared: AppContext, states: list[Files], decided: set[int]
) -> None:
    with shared.database.write() as session:
        dataset_id = dataset_rows.add_dataset(
            session,
            {
                "name": f"moves {len(dataset_rows.datasets(session))}",
                "task": Task.CLASSIFICATION,
                "root": "/",
                "format": "imagefolder",
                "classes": [],
                "options": {},
                "created_at": NOW,
            },
        )
    bring(shared, dataset_id, states[0])
    start = known(shared, dataset_id)
    said = {id_: content for number, (id_, content) in enumerate(start.values()) if number in decided}
    with shared.database.write() as session:
        session.add_all(TaggingRow(sample_id=id_, classes=[0], tagged_at=NOW) for id_ in said)
    before = start
    for files in states[1:]:
        bring(shared, dataset_id, files)
        now = known(shared, dataset_id)
        assert {path: content for path, (_, content) in now.items()} == files
        ids = [id_ for id_, _ in now.values()]
        assert len(set(ids)) == len(ids)
        contents = dict(before.values())
        for id_, content in now.values():
            held = contents.get(id_)
            assert held in (None, content) or path_kept(before, now, id_)
        kept, stays = Counter(files.values()), Counter(contents.values())
        for content in kept:
            same = [id_ for id_, held in now.values() if held == content]
            carried = [id_ for id_ in same if contents.get(id_) == content]
            assert len(carried) == min(kept[content], stays[content])
            if stays[content] <= kept[content]:  # of no copy fewer: every decision is still there
                assert {id_ for id_ in said if contents.get(id_) == content} <= set(same)
        before = now


def path_kept(before: dict[str, tuple[int, str]], now: dict[str, tuple[int, str]], id_: int) -> bool:
    """Return whether the sample is at its former path, which has other content now."""
    was = next(path for path, (number, _) in before.items() if number == id_)
    return now.get(was, (0, ""))[0] == id_


@settings(max_examples=60, deadline=None)
@given(
    order=st.permutations(range(8)),
    moved=st.lists(st.text("abc/", min_size=1, max_size=6), min_size=8, max_size=8, unique=True),
)
def test_the_maximum_number_of_copies_is_matched(order: list[int], moved: list[str]) -> None:
    copies = [Address(number, f"{number}.png", number % 3, decided=number in order[:4]) for number in range(8)]
    files = [Address(number, name, number % 2) for number, name in enumerate(moved)]
    pairs = pair_moved(copies, files[:5])
    assert len(pairs) == 5
    assert len({one for one, _ in pairs}) == len({other for _, other in pairs}) == 5
    assert sorted(pair_moved([copies[at] for at in order], files[:5])) == sorted(pairs)
