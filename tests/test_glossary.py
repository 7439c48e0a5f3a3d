"""No text or docstring of the code uses a word that the glossary says to avoid."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("app", "core", "db")


def rows() -> list[tuple[str, list[str]]]:
    """Return the words of the glossary, each with the words to avoid."""
    lines = (ROOT / "docs" / "glossary.md").read_text("utf-8").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    entries = [cell for cell in cells[2:] if cell[1]]  # a row without a meaning is a heading
    return [(word, [one.strip() for one in avoid.split(",") if one.strip()]) for word, _, avoid in entries]


def texts() -> Iterator[tuple[str, str]]:
    """Yield the place and the text of docstrings and other strings, and the sources that a browser reads."""
    for path in (path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*"))):
        name = str(path.relative_to(ROOT))
        if path.suffix in {".js", ".html", ".css"}:
            yield name, path.read_text("utf-8")
        elif path.suffix == ".py" and "versions" not in path.parts:
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield f"{name}:{node.lineno}", node.value


def test_every_word_is_in_the_glossary_once() -> None:
    words = [word for word, _ in rows()]
    avoided = [one for _, avoid in rows() for one in avoid]
    assert len(words) > 30
    assert len(set(words)) == len(words)
    assert len(set(avoided)) == len(avoided)
    assert not set(words) & set(avoided)


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_text_uses_a_word_to_avoid(folder: str) -> None:
    word_for = {one.lower(): word for word, avoid in rows() for one in avoid}
    pattern = re.compile(rf"\b({'|'.join(map(re.escape, sorted(word_for, key=len, reverse=True)))})s?\b", re.IGNORECASE)
    found = [
        f"{place}: {match[0]!r} should be {word_for[match[1].lower()]!r}"
        for place, text in texts()
        if place.startswith(f"{folder}/")
        for match in pattern.finditer(text)
    ]
    assert found == []
