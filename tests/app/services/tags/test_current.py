"""Tags by people and imports: the newest counts, none is lost or stored twice."""

from pathlib import Path

import pytest
from sqlalchemy import text

from app.services import deletions
from app.services.app_context import AppContext
from app.services.reviews import ActKey, DeletedError, NotFoundError, RefusedError
from app.services.rounds.snapshots import current_snapshot
from app.services.tags import current as tags
from app.services.tags.current import TagFilter
from app.services.tags.tables import BY_IMPORT, BY_MASK, export_tags, find_doubts, import_tags, known_tags
from core.judge.tag_checks import Contradiction
from core.types import DatasetError, ExportError
from tests.app.services.reviewed import digits, digits_home  # noqa: F401 fixtures
from tools.fixtures.scenes import CAR, HOUSE, ROAD, SKY, TREE, add_round, add_scenes

COUNT, BARE = 6, 3
FIRST_BARE = COUNT - BARE + 1  # the id of the first image without a mask


@pytest.fixture
def few(app_context: AppContext, tmp_path: Path) -> AppContext:
    """Return six scenes, three of them without a mask."""
    add_scenes(app_context, tmp_path / "scenes", COUNT, unlabelled=BARE)
    return app_context


def rows(app_context: AppContext) -> int:
    with app_context.database.read() as session:
        return int(session.execute(text("SELECT count(*) FROM tagging")).scalar_one())


def said(app_context: AppContext, sample_id: int = FIRST_BARE) -> list[int] | None:
    return tags.suggest_tags(app_context, sample_id).image.classes


def test_the_latest_tags_count_and_former_ones_are_kept(few: AppContext) -> None:
    tags.tag(few, FIRST_BARE, [CAR, SKY, CAR], by="ada")
    assert said(few) == [SKY, CAR]
    tags.tag(few, FIRST_BARE, [ROAD], by="grace")
    image = tags.suggest_tags(few, FIRST_BARE).image
    assert (image.classes, image.annotator) == ([ROAD], "grace")
    tags.tag(few, FIRST_BARE, None, by="ada")
    assert said(few) is None
    assert rows(few) == 3


def test_a_retry_stores_one_row_even_after_tags_by_another_person(few: AppContext) -> None:
    first = tags.tag(few, FIRST_BARE, [SKY], by="ada", key=ActKey("tab", 1))
    tags.tag(few, FIRST_BARE, [ROAD], by="grace", key=ActKey("other", 1))
    again = tags.tag(few, FIRST_BARE, [SKY], by="ada", key=ActKey("tab", 1))
    assert again.saved_at == first.saved_at
    assert said(few) == [ROAD]
    assert rows(few) == 2


def test_undo_reverts_the_acts_of_a_person_one_by_one(few: AppContext) -> None:
    tags.tag(few, FIRST_BARE, [SKY], by="ada")
    tags.tag(few, FIRST_BARE, [SKY, ROAD], by="ada")
    tags.tag(few, FIRST_BARE + 1, [TREE], by="ada")
    first = tags.undo(few, 1, by="ada", key=ActKey("tab", 9))
    assert first.image is not None
    assert (first.image.id, first.image.classes) == (FIRST_BARE + 1, None)
    assert tags.undo(few, 1, by="ada", key=ActKey("tab", 9)).image == first.image  # a retry undoes nothing more
    assert said(few) == [SKY, ROAD]
    tags.undo(few, 1, by="ada")
    assert said(few) == [SKY]
    tags.undo(few, 1, by="ada")
    assert said(few) is None
    assert tags.undo(few, 1, by="ada").image is None
    tags.tag(few, FIRST_BARE, [HOUSE], by="ada")
    assert said(few) == [HOUSE]


def test_tags_of_a_deleted_dataset_are_refused_by_name_until_it_is_restored(few: AppContext) -> None:
    tags.tag(few, FIRST_BARE, [SKY], by="ada")
    gone = deletions.delete_dataset(few, 1, "Ben")
    with pytest.raises(DeletedError, match=f"{gone.name} was deleted by Ben; restore it") as told:
        tags.tag(few, FIRST_BARE, [ROAD], by="ada", key=ActKey("tab", 1))
    assert told.value.images == [f"scene_{FIRST_BARE - 1:03d}.png"]
    for late in (lambda: tags.undo(few, 1, by="ada"), lambda: tags.panel(few, 1)):
        with pytest.raises(DeletedError):
            late()
    deletions.restore(few, gone.id)
    assert said(few) == [SKY]
    tags.tag(few, FIRST_BARE, [ROAD], by="ada", key=ActKey("tab", 1))
    assert said(few) == [ROAD]


def test_undo_leaves_later_tags_of_others_unchanged(few: AppContext) -> None:
    tags.tag(few, FIRST_BARE, [SKY], by="ada")
    tags.tag(few, FIRST_BARE, [ROAD], by="grace")
    assert tags.undo(few, 1, by="ada").image is None
    assert said(few) == [ROAD]
    tags.undo(few, 1, by="grace")
    assert said(few) == [SKY]


def test_an_invalid_act_is_refused_and_stores_nothing(few: AppContext) -> None:
    for wrong, error in (([], RefusedError), ([99], RefusedError), ([-1], RefusedError)):
        with pytest.raises(error):
            tags.tag(few, FIRST_BARE, wrong, by="ada")
    with pytest.raises(NotFoundError):
        tags.tag(few, 999, [SKY], by="ada")
    assert rows(few) == 0


def test_tags_are_refused_for_a_dataset_of_classes(digits: AppContext, tmp_path: Path) -> None:  # noqa: F811
    with pytest.raises(NotFoundError, match="are classes"):
        tags.tag(digits, 1, [1], by="ada")
    with pytest.raises(DatasetError, match="are classes"):
        import_tags(digits, 1, tmp_path / "tags.csv")


def test_the_panel_shows_images_without_mask_and_tags_first(few: AppContext) -> None:
    assert [one.image.id for one in tags.queue(few, 1, TagFilter.TODO)] == [4, 5, 6]
    tags.tag(few, 5, [SKY], by="ada")
    assert [one.image.id for one in tags.queue(few, 1, TagFilter.TODO)] == [4, 6]
    assert [one.image.id for one in tags.queue(few, 1, TagFilter.TAGGED)] == [5]
    assert [one.image.id for one in tags.queue(few, 1, TagFilter.MASKED, after=1, limit=1)] == [2]
    assert len(tags.queue(few, 1, TagFilter.ALL)) == COUNT
    tags.tag(few, 1, [SKY], by="ada")
    counts = tags.panel(few, 1).counts
    assert (counts.images, counts.tagged, counts.masked, counts.left, counts.tagged_bare) == (6, 2, 3, 2, 1)
    tags.tag(few, 5, None, by="ada")
    assert tags.panel(few, 1).counts.left == 3


def test_tags_are_suggested_by_the_round_and_by_the_mask(few: AppContext) -> None:
    assert tags.suggest_tags(few, FIRST_BARE).classes == []
    assert {number for number, _ in tags.suggest_tags(few, 1).classes} == {
        SKY,
        ROAD,
        HOUSE,
        TREE,
    }  # the car is road
    add_round(few, 1)
    suggested = tags.suggest_tags(few, FIRST_BARE).classes
    assert {number for number, _ in suggested} == {SKY, ROAD, HOUSE, TREE, CAR}
    shares = [share for _, share in suggested]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(1)


def test_a_table_is_read_once_and_people_take_precedence(few: AppContext, tmp_path: Path) -> None:
    table = tmp_path / "tags.csv"
    table.write_text(
        "path,tags\n"
        "scene_003.png,road;sky\n"
        f'{tmp_path / "scenes" / "scene_004.png"},"sky, house"\n'
        "scenes/scene_005.png,tree\n"
        "scene_000.png,\n"
        "nowhere.png,sky\n"
        "scene_001.png,sky;boat\n"
    )
    done = import_tags(few, 1, table)
    assert (done.stored, done.unchanged, done.kept) == (3, 0, 0)
    assert [(one.kind, one.path) for one in done.problems] == [
        ("unknown image", "tags.csv, row 6"),
        ("unknown class", "tags.csv, row 7"),
    ]
    assert "boat" in done.problems[1].message
    assert "sky" in done.problems[1].cure
    assert [(one.sample_id, one.classes, one.by) for one in known_tags(few, 1)] == [
        (4, [SKY, ROAD], BY_IMPORT),
        (5, [SKY, HOUSE], BY_IMPORT),
        (6, [TREE], BY_IMPORT),
    ]
    tags.tag(few, 4, [CAR], by="ada")
    again = import_tags(few, 1, table)
    assert (again.stored, again.unchanged, again.kept) == (0, 2, 1)
    assert said(few, 4) == [CAR]
    assert import_tags(few, 1, table, over_people=True).stored == 1
    assert said(few, 4) == [SKY, ROAD]


def test_a_table_of_tags_can_use_windows_paths(few: AppContext, tmp_path: Path) -> None:
    table = tmp_path / "tags.csv"
    table.write_text("sep=;\npath;tags\nscenes\\scene_005.png;tree\n scene_003.png ; sky\n", encoding="utf-16")
    done = import_tags(few, 1, table)
    assert (done.stored, done.problems) == (2, [])
    assert said(few, 6) == [TREE]


def test_exported_tags_can_be_imported(few: AppContext, tmp_path: Path) -> None:
    tags.tag(few, 4, [SKY, CAR], by="ada")
    assert export_tags(few, 1, tmp_path / "out.csv") == 1
    assert import_tags(few, 1, tmp_path / "out.csv").unchanged == 1
    assert export_tags(few, 1, tmp_path / "all.csv", from_masks=True) == 4
    derived = {one.sample_id: one for one in known_tags(few, 1, from_masks=True)}
    assert derived[1].by == BY_MASK
    assert derived[1].classes == [SKY, ROAD, HOUSE, TREE]
    assert derived[4].by == "ada"
    assert rows(few) == 1  # derived tags need no row
    with pytest.raises(ExportError, match="exists already"):
        export_tags(few, 1, tmp_path / "out.csv")


def test_a_table_without_its_columns_is_refused(few: AppContext, tmp_path: Path) -> None:
    table = tmp_path / "tags.csv"
    table.write_text("path,label\na,b\n")
    with pytest.raises(DatasetError, match="call it `tags`"):
        import_tags(few, 1, table)


def test_contradictions_are_found_in_the_current_state(few: AppContext) -> None:
    assert find_doubts(few, 1) == []
    tags.tag(few, 1, [SKY, ROAD, HOUSE, TREE, CAR], by="ada")
    tags.tag(few, 2, [SKY, ROAD, HOUSE], by="ada")
    found = [(one.sample_id, one.doubt.contradiction, one.doubt.label) for one in find_doubts(few, 1)]
    assert found == [(2, Contradiction.EXCLUDED, TREE), (1, Contradiction.MISSING, CAR)]
    add_round(few, 1)
    tags.tag(few, 4, [SKY, ROAD, HOUSE, TREE, CAR], by="ada")  # the round sees all of them
    assert len(find_doubts(few, 1)) == 2


def test_a_round_opens_with_exactly_the_given_tags(few: AppContext) -> None:
    assert current_snapshot(few, 1)[1].tags is None
    tags.tag(few, 4, [SKY, CAR], by="ada")
    tags.tag(few, 5, [ROAD], by="ada")
    tags.tag(few, 5, None, by="ada")
    snapshot = current_snapshot(few, 1)[1]
    assert snapshot.tags is not None
    assert snapshot.tags.sum() == 2
    assert snapshot.tags[3, [SKY, CAR]].all()
