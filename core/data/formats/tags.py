"""Which classes an image shows, as people write it down: `road;car`, or a list as JSON has it."""

import json

_BETWEEN = ";|,"  # the first of them that is there stands between names


def split_tags(text: str) -> list[str]:
    """Return the names in a cell, each once, in their order; a list in JSON may hold any name."""
    written = text.strip()
    names: list[str] = []
    if written.startswith("["):
        try:
            listed = json.loads(written)
        except ValueError:
            listed = None
        if isinstance(listed, list):
            names = [str(name).strip() for name in listed]
            return list(dict.fromkeys(name for name in names if name))
    between = next((mark for mark in _BETWEEN if mark in written), ";")
    names = [name.strip() for name in written.split(between)]
    return list(dict.fromkeys(name for name in names if name))


def joined_tags(names: list[str]) -> str:
    """Return names as one cell that `split_tags` reads back."""
    plain = ";".join(names)
    return plain if split_tags(plain) == names else json.dumps(names, ensure_ascii=False)
