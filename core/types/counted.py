"""Counts with their nouns, for texts that people read."""


def counted(count: int, one: str, several: str = "") -> str:
    """Return a count with its noun, as in "1 image" and "2,300 images".

    Args:
        count: the count.
        one: the singular.
        several: the plural, where it is not the singular with an s.
    """
    return f"{count:,} {one if count == 1 else several or f'{one}s'}"
