"""The page of the command line is the one that the commands make."""

from tools.cli_docs import TARGET, document


def test_the_page_is_up_to_date() -> None:
    assert TARGET.read_text(encoding="utf-8") == document(), "write it anew: python -m tools.cli_docs"


def test_every_command_has_its_section_with_examples_in_code_blocks() -> None:
    page = document()
    assert "\b" not in page
    assert "\n## `tags import`\n" in page
    assert "| [`tags import`](#tags-import) |" in page
    assert "```console\npython -m app tags import scenes tags.csv\n" in page
