"""The datasets page: empty, importing, finished, with cards; what comes from outside is never drawn as HTML."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app.services import datasets, reviews
from app.services.app_context import AppContext
from app.services.imports import jobs as imports
from app.services.imports.jobs import ImportRequest
from core.config import RoundConfig
from core.data.formats.source import SourceFormat
from core.types import FindingFilter, JobStatus, Recipe
from db.queries import rounds
from tests.app.evaluated import deal_splits
from tests.app.pairs import draw_pair, draw_stripes, mask_of
from tests.app.services.reviewed import NOW, digits, digits_home, make_unlabelled
from tests.core.data.formats.drawn import draw, draw_all

__all__ = ["digits", "digits_home"]
MAIN = Path(__file__).parents[3] / "app" / "main.py"
NASTY = "<img src=x onerror=alert(1)> [a](javascript:b) **c**"


def page(app_context: AppContext, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setattr("app.services.app_context.app_context", lambda: app_context)
    monkeypatch.setattr("app.services.jobs.enqueue_import", lambda *_: None)
    monkeypatch.setattr("app.services.jobs.cancel_import", lambda *_: None)
    return AppTest.from_file(str(MAIN), default_timeout=30)


def html(at: AppTest) -> str:
    return "\n".join(element.proto.body for element in at.get("html"))


def run_all(app_context: AppContext) -> None:
    for waiting in datasets.overview(app_context).unfinished:
        imports.run_import(app_context, waiting.id)


def add(app_context: AppContext, root: Path, name: str) -> int:
    return imports.run_import(
        app_context, imports.add_import(app_context, ImportRequest(name=name, source=str(root)))
    ).id


def test_an_empty_installation_shows_importable_formats(
    app_context: AppContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = page(app_context, monkeypatch).run()
    assert not at.exception
    assert at.text_input(key="import_source").value == ""
    said = " ".join(element.value for element in at.markdown)
    assert "Class folders" in said
    assert "Manifest" in said


def test_a_source_is_previewed_imported_and_reported(
    app_context: AppContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = draw_all(tmp_path / "set", [f"{name}/{number}.png" for name in ("cat", "dog") for number in range(6)])
    (root / "cat" / "empty.png").touch()
    at = page(app_context, monkeypatch).run()
    at.text_input(key="import_source").set_value(str(root)).run()
    assert "2 folders hold images" in html(at)
    assert datasets.list_datasets(app_context) == []
    at.button(key="import_go").click().run()
    [waiting] = datasets.overview(app_context).unfinished
    assert waiting.request["name"] == "set"
    assert at.query_params["import"] == str(waiting.id)
    assert "Importing set" in html(at)
    run_all(app_context)
    at.run()
    assert not at.exception
    assert "<b>12</b> images" in html(at)
    assert [table.value["problem"].tolist() for table in at.dataframe] == [["empty file"]]
    at.button(key=f"report_{waiting.id}_close").click().run()
    assert "import" not in at.query_params
    assert len(at.dataframe) == 0


def test_a_missing_source_is_an_error_with_its_cure(app_context: AppContext, monkeypatch: pytest.MonkeyPatch) -> None:
    at = page(app_context, monkeypatch).run()
    at.text_input(key="import_source").set_value("/no/such/folder").run()
    assert not at.exception
    assert "check the path" in at.error[0].value
    assert not [button for button in at.button if button.key == "import_go"]


def test_the_format_can_be_overridden(app_context: AppContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = draw_all(tmp_path / "set", ["cat/1.png", "dog/1.png"])
    at = page(app_context, monkeypatch).run()
    at.text_input(key="import_source").set_value(str(root)).run()
    at.selectbox(key="import_format").select_index(1 + list(SourceFormat).index(SourceFormat.UNLABELLED)).run()
    assert "Images without labels" in html(at)
    at.selectbox(key="import_format").select_index(1 + list(SourceFormat).index(SourceFormat.MANIFEST)).run()
    assert "manifest.csv" in at.error[0].value


def test_a_folder_is_chosen_by_browsing(
    app_context: AppContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw_all(tmp_path / "data" / NASTY.replace("/", "-"), ["cat/1.png", "dog/1.png"])
    narrow = app_context.settings.model_copy(update={"allowed_roots": str(tmp_path / "data")})
    at = page(AppContext(app_context.database, app_context.files, narrow), monkeypatch).run()
    at.button(key="import_browse").click().run()
    assert not [button for button in at.button if button.key in {"import_up", "import_use"}]
    at.button(key="import_folder_0").click().run()
    assert at.button(key="import_folder_0").label.endswith("· 2 images")
    at.button(key="import_up").click().run()
    at.button(key="import_folder_0").click().run()
    at.button(key="import_folder_0").click().run()
    at.button(key="import_use").click().run()
    assert not at.exception
    assert at.text_input(key="import_source").value == str(tmp_path / "data" / NASTY.replace("/", "-"))
    assert "2 folders hold images" in html(at)
    assert "import_use" not in {button.key for button in at.button}


def test_the_treatment_of_unlabelled_images_is_explained(
    app_context: AppContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = draw_all(tmp_path / "new", ["train/1.png", "test/2.png"])
    at = page(app_context, monkeypatch).run()
    at.text_input(key="import_source").set_value(str(root)).run()
    at.selectbox(key="import_format").select_index(1 + list(SourceFormat).index(SourceFormat.UNLABELLED)).run()
    assert "<b>2</b> images · no labels: a round needs some labels to train on · test <b>1</b>" in html(at)
    add(app_context, draw_all(tmp_path / "pets", ["cat/1.png", "dog/1.png"]), "pets & co")
    at.session_state["datasets_wizard"] = True
    at.run()
    at.toggle(key="import_unlabelled").set_value(True).run()
    assert at.selectbox(key="import_into").value is None
    assert "import_go" not in {button.key for button in at.button}  # nothing is imported before a target is chosen
    at.selectbox(key="import_into").select("pets & co").run()
    assert not at.exception
    assert "<b>2</b> images · no labels: they join the classes of <b>pets &amp; co</b></p>" in html(at)
    assert "0</b> classes" not in html(at)


def test_masks_are_shown_over_their_images_with_their_classes_and_reported(
    app_context: AppContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = draw_stripes(tmp_path / "set")
    draw_pair(root, "0", mask_of(0, 9))
    at = page(app_context, monkeypatch).run()
    assert not [box for box in at.selectbox if box.key == "import_colour_map"]
    at.text_input(key="import_source").set_value(str(root)).run()
    assert not at.exception
    drawn = html(at)
    assert "<b>13</b> images · <b>13</b> masks · <b>3</b> classes" in drawn
    assert drawn.count('alt="its mask"') == 11  # of 12 that are shown
    assert ">car</td>" in drawn
    assert at.dataframe[0].value["problem"].tolist() == ["ids outside the classes"]
    assert any(caption.value.startswith("1 problem so far;") for caption in at.caption)
    at.text_input(key="import_ignore_id").set_value("x").run()
    assert "not a pixel value" in at.error[0].value
    at.text_input(key="import_ignore_id").set_value("9").run()
    assert html(at).count('alt="its mask"') == 12
    at.button(key="import_go").click().run()
    [waiting] = datasets.overview(app_context).unfinished
    assert waiting.request["ignore_id"] == 9
    run_all(app_context)
    at.run()
    assert not at.exception
    assert "<b>13</b> images · 13 masks" in html(at)
    assert "13 images · 13 masks · 3 classes" in html(at)


def test_an_import_can_be_cancelled_on_its_card(
    app_context: AppContext, digits_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = imports.add_import(app_context, ImportRequest(name="set", source=str(digits_folder)))
    at = page(app_context, monkeypatch).run()
    at.button(key=f"import_{asked}_cancel").click().run()
    assert not at.exception
    assert imports.get_import(app_context, asked).status is JobStatus.CANCELLED


def test_cards_show_the_remaining_work_and_link_to_it(digits: AppContext, monkeypatch: pytest.MonkeyPatch) -> None:
    at = page(digits, monkeypatch).run()
    assert not at.exception
    [card] = datasets.list_datasets(digits)
    assert card.reviewable is not None
    assert f"<b>{card.reviewable.left:,}</b> suspicious labels left" in html(at)
    assert f"/outfold/image/{card.covers[0]}/96.webp" in html(at)
    links = {link.proto.label: link.proto for link in at.get("page_link")}
    assert set(links) == {"Review", "Rounds", "Insight", "Export", "Classes"}
    assert "round=" in links["Review"].query_string


def test_a_round_of_proposals_does_not_hide_suspicious_findings(
    digits: AppContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    with digits.database.write() as session:
        later = rounds.add_round(session, 1, RoundConfig().to_json(), "Ada", NOW, recipe=Recipe.ITERATED)
        rounds.begin_round(session, later, "training", NOW)
        rounds.end_round(session, later, JobStatus.DONE, "", NOW)
    [card] = datasets.list_datasets(digits)
    assert card.reviewable
    assert card.contradicting
    assert (card.reviewable.id, card.contradicting.id) == (later, 1)
    at = page(digits, monkeypatch).run()
    assert not at.exception
    assert f"<b>{card.contradicting.left:,}</b> suspicious labels left" in html(at)
    assert "Round 2 proposed nothing" in html(at)
    links = {link.proto.label: link.proto.query_string for link in at.get("page_link")}
    assert (links["Review"], links["Round 1"]) == (f"round={later}&show=unlabelled", "round=1")
    reviews.accept_all(digits, FindingFilter(round_id=1), by="ada")
    assert datasets.list_datasets(digits)[0].contradicting is None


def test_proposals_are_counted_beside_suspicious_findings(digits: AppContext, monkeypatch: pytest.MonkeyPatch) -> None:
    proposed = make_unlabelled(digits)
    [card] = datasets.list_datasets(digits)
    assert card.reviewable
    assert card.reviewable.left == 100 - proposed > 0
    assert f"<b>{100 - proposed}</b> suspicious labels left" in html(page(digits, monkeypatch).run())
    assert f"<b>{proposed}</b> proposed labels left" in html(page(digits, monkeypatch).run())
    reviews.accept_all(digits, FindingFilter(round_id=1), by="ada")
    drawn = html(page(digits, monkeypatch).run())
    assert f"<b>0</b> suspicious labels left<span>Round 1 · {100 - proposed} decided</span>" in drawn
    assert f"<b>{proposed}</b> proposed labels left<span>Round 1 · 0 decided</span>" in drawn


def test_a_card_can_be_renamed_imported_again_and_asked_for_its_report(
    app_context: AppContext, digits_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = add(app_context, digits_folder, "set")
    at = page(app_context, monkeypatch).run()
    at.text_input(key="cards_1_name").set_value("other")
    at.button(key="cards_1_rename").click().run()
    assert datasets.get_dataset(app_context, 1).name == "other"
    at.button(key="cards_1_report").click().run()
    assert at.query_params["import"] == str(done)
    at.button(key="cards_1_again").click().run()
    assert [info.request["name"] for info in datasets.overview(app_context).unfinished] == ["other"]
    assert not at.exception


def test_an_evaluation_split_of_a_tenth_can_be_drawn_without_splits(
    digits: AppContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = page(digits, monkeypatch).run()
    at.button(key="cards_1_splits").click().run()
    assert at.query_params["splits"] == "1"  # a rerun finds it again: without it the buttons do nothing
    assert at.button(key="splits_1_draw").label == "Draw 30 images"
    at.button(key="splits_1_draw").click().run()
    assert not at.exception
    assert datasets.get_dataset(digits, 1).evaluation_splits == ("evaluation",)
    assert "people judged 0 of its 30 images" in plain_text(" ".join(element.value for element in at.markdown))
    assert not [button for button in at.button if button.key == "splits_1_draw"]


def test_images_missing_in_a_protected_split_can_be_drawn_on_the_page(
    digits: AppContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    deal_splits(digits, every=60)
    at = page(digits, monkeypatch).switch_page("pages/datasets.py")
    at.query_params["splits"] = "1"
    at.run()
    at.button(key="splits_1_test_on").click().run()
    assert at.button(key="splits_1_draw").label == "Draw 25 more images out of train"
    at.button(key="splits_1_draw").click().run()
    assert not at.exception
    assert datasets.get_dataset(digits, 1).evaluation_splits == ("evaluation", "test")
    assert not [button for button in at.button if button.key == "splits_1_draw"]


def test_a_split_can_be_protected_and_unprotected_on_the_page(
    digits: AppContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    deal_splits(digits)
    at = page(digits, monkeypatch).switch_page("pages/datasets.py")
    at.query_params["splits"] = "1"
    at.run()
    assert "rounds learn from every label" in " ".join(element.value for element in at.markdown)
    at.button(key="splits_1_train_on").click().run()
    at.button(key="splits_1_test_on").click().run()
    assert "test is all that digits has left to learn from" in plain_text(at.error[0].value)
    at.button(key="splits_1_train_off").click().run()
    at.button(key="splits_1_test_on").click().run()
    assert not at.exception
    assert datasets.get_dataset(digits, 1).evaluation_splits == ("test",)
    assert "people judged 0 of its 75 images" in plain_text(" ".join(element.value for element in at.markdown))
    at.button(key="splits_1_close").click().run()
    assert "splits" not in at.query_params


def plain_text(markdown: str) -> str:
    return markdown.replace("\\", "")


def test_a_renamed_class_is_asked_about_and_accepted_with_one_click(
    app_context: AppContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = draw_all(tmp_path / "set", [f"{name}/{number}.png" for name in ("cat", "dog") for number in range(6)])
    add(app_context, root, "pets")
    (root / "cat").rename(root / NASTY.replace("/", "-"))
    asked = add(app_context, root, "pets")
    at = page(app_context, monkeypatch).switch_page("pages/datasets.py")
    at.query_params["import"] = str(asked)
    at.run()
    assert not at.exception
    at.button(key=f"gone_{asked}_go").click().run()
    run_all(app_context)
    assert datasets.get_dataset(app_context, 1).classes == (NASTY.replace("/", "-"), "dog")
    assert "<img src=x" not in html(at)


def test_two_spellings_of_a_class_lead_to_their_merge(
    app_context: AppContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = draw_all(
        tmp_path / "set",
        [f"{name}/{number}.png" for name in ("*ink blot*", "*ink-blot*", "dog") for number in range(3)],
    )
    at = page(app_context, monkeypatch).switch_page("pages/datasets.py")
    at.query_params["import"] = str(add(app_context, root, "pets"))
    at.run()
    assert not at.exception
    [link] = [one.proto for one in at.get("page_link") if "merge them" in one.proto.label]
    assert plain_text(link.label).startswith("*ink blot* and *ink-blot* differ in spelling alone")
    assert link.query_string == "dataset=1&merge=1&into=0"
    assert "--merge-class" not in str([table.value.to_dict() for table in at.dataframe])


def test_a_dataset_is_moved_on_its_card(
    app_context: AppContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = draw_all(tmp_path / "set", [f"{name}/{number}.png" for name in ("cat", "dog") for number in range(6)])
    add(app_context, root, "pets")
    root.rename(tmp_path / "moved")
    at = page(app_context, monkeypatch).run()
    at.text_input(key="cards_1_place").set_value(str(tmp_path / "moved"))
    at.button(key="cards_1_move").click().run()
    assert not at.exception
    run_all(app_context)
    assert datasets.get_dataset(app_context, 1).root == str(tmp_path / "moved")


def test_foreign_text_is_drawn_neither_as_html_nor_as_markdown(
    app_context: AppContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / NASTY.replace("/", "")
    for name in ("<script>x", "b&c"):
        draw(folder / name / "1.png")
        (folder / name / "<i>.png").touch()
    asked = add(app_context, folder, NASTY)
    at = page(app_context, monkeypatch).switch_page("pages/datasets.py")
    at.query_params["import"] = str(asked)
    at.session_state["datasets_wizard"] = True
    at.run()
    at.text_input(key="import_source").set_value(str(folder)).run()
    assert not at.exception
    drawn = html(at)
    for raw in ("<img src=x", "<script>", "<i>.png", "b&c"):
        assert raw not in drawn
    assert "&lt;script&gt;x" in drawn
    at.text_input(key="import_source").set_value(f"/no/{NASTY}").run()
    assert "[a](javascript" not in at.error[0].value


@pytest.mark.parametrize("wanted", ["x", "99", "-1", "9" * 50, ""])
def test_an_unknown_import_in_the_address_is_ignored(
    wanted: str, app_context: AppContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = page(app_context, monkeypatch)
    at.query_params["import"] = wanted
    assert not at.run().exception


def test_a_question_about_masks_is_answered_with_a_click(
    app_context: AppContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = draw_stripes(tmp_path / "set")
    (root / "classes.txt").write_text("sky\nroad\n")
    at = page(app_context, monkeypatch).run()
    at.text_input(key="import_source").set_value(str(root)).run()
    assert at.button(key="import_go").disabled
    at.button(key="import_ignore_id_2").click().run()
    assert not at.exception
    assert not at.button(key="import_go").disabled
    assert "unlabelled" in html(at)
    at.button(key="import_again").click().run()
    assert at.button(key="import_go").disabled
    at.button(key="import_unnamed_ids_class").click().run()
    at.button(key="import_go").click().run()
    run_all(app_context)
    [card] = datasets.list_datasets(app_context)
    assert card.dataset.classes == ("sky", "road", "2")
    assert card.dataset.options["unnamed_ids"] == "class"


def test_masks_corrected_elsewhere_are_accepted_with_one_click(
    app_context: AppContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = draw_stripes(tmp_path / "set")
    add(app_context, root, "stripes")
    draw_pair(root, "01", mask_of(1))
    again = add(app_context, root, "stripes")
    at = page(app_context, monkeypatch).switch_page("pages/datasets.py")
    at.query_params["import"] = str(again)
    at.run()
    at.button(key=f"mended_{again}_take").click().run()
    assert not at.exception
    run_all(app_context)
    assert (imports.get_import(app_context, again + 1).report or {})["mended"] == {"taken": 1, "open": 0, "left": 0}


def test_a_table_is_moved_with_the_folder_of_its_images(
    app_context: AppContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = draw_all(tmp_path / "set", [f"{number}.png" for number in range(6)])
    table = tmp_path / "labels.csv"
    table.write_text("path,label\n" + "".join(f"/else/{number}.png,{'ab'[number % 2]}\n" for number in range(6)))
    request = ImportRequest(name="pets", source=str(table), image_root=str(root))
    imports.run_import(app_context, imports.add_import(app_context, request))
    root.rename(tmp_path / "moved")
    table.rename(tmp_path / "moved.csv")
    at = page(app_context, monkeypatch).run()
    at.text_input(key="cards_1_place").set_value(str(tmp_path / "moved.csv"))
    at.text_input(key="cards_1_image_root").set_value(str(tmp_path / "moved"))
    at.button(key="cards_1_move").click().run()
    assert not at.exception
    run_all(app_context)
    info = datasets.get_dataset(app_context, 1)
    assert (info.root, info.options["image_root"]) == (str(tmp_path / "moved.csv"), str(tmp_path / "moved"))
