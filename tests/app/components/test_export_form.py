from app.components.export_form import TITLES
from core.data.export.items import ExportFormat


def test_every_format_has_a_title_in_the_words_of_its_form() -> None:
    assert set(TITLES) == set(ExportFormat)
    assert TITLES[ExportFormat.CLASS_FOLDERS] == "Class folders"
    assert TITLES[ExportFormat.HUGGING_FACE_PARQUET] == "Hugging Face, Parquet"
