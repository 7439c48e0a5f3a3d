"""Texts by the million as bytes: one after another, each ended by a zero byte, in memory or mapped from a file."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload

import numpy as np

from core.types import ByteArray, IntArray

_AT_ONCE = 1 << 24  # bytes searched at once
_DECODED = 50_000  # texts decoded at once


class Texts(Sequence[str]):
    """Immutable texts; a text is decoded on access.

    UTF-8, with invalid bytes of a path preserved (`surrogateescape`). A zero byte, which no path contains, is
    left out of a text.
    """

    def __init__(self, data: ByteArray) -> None:
        """Take `data`, (B,) bytes, as it is stored; it is not copied."""
        self.data = data
        self._offsets: IntArray | None = None
        self._count: int | None = None

    @classmethod
    def of(cls, texts: Iterable[str]) -> "Texts":
        """Return these texts as `Texts`; unchanged if they already are."""
        if isinstance(texts, Texts):
            return texts
        builder = TextsBuilder()
        builder.extend(texts if isinstance(texts, list | tuple) else list(texts))
        return builder.build()

    @property
    def offsets(self) -> IntArray:
        """Return the first byte of each text, and the number of bytes, (N + 1,)."""
        if self._offsets is None:
            self._offsets = np.zeros(len(self) + 1, np.int64)
            known = 1
            for start in range(0, len(self.data), _AT_ONCE):
                ends = np.flatnonzero(self.data[start : start + _AT_ONCE] == 0)
                self._offsets[known : known + len(ends)] = ends + (start + 1)
                known += len(ends)
        return self._offsets

    def __len__(self) -> int:
        """Return N."""
        if self._count is None:
            parts = range(0, len(self.data), _AT_ONCE)
            self._count = int(sum(np.count_nonzero(self.data[start : start + _AT_ONCE] == 0) for start in parts))
        return self._count

    @overload
    def __getitem__(self, place: int) -> str: ...

    @overload
    def __getitem__(self, place: slice) -> list[str]: ...

    def __getitem__(self, place: int | slice) -> str | list[str]:
        """Return a text, or a list of those of a slice."""
        if isinstance(place, slice):
            return [self[one] for one in range(len(self))[place]]
        row = range(len(self))[place]  # refuses an index out of range
        first, end = self.offsets[row], self.offsets[row + 1]
        return _decode(self.data[first : end - 1])

    def __iter__(self) -> Iterator[str]:
        """Yield the texts in their order."""
        offsets = self.offsets
        for start in range(0, len(self), _DECODED):
            end = min(start + _DECODED, len(self))
            yield from _decode(self.data[offsets[start] : offsets[end]]).split("\0")[:-1]

    def __eq__(self, other: object) -> bool:
        """Return whether another sequence holds the same texts in the same order."""
        if isinstance(other, Texts):
            return bool(np.array_equal(self.data, other.data))
        if isinstance(other, list | tuple):
            return len(self) == len(other) and all(own == one for own, one in zip(self, other, strict=True))
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]  # as of a list

    def __repr__(self) -> str:
        """Return their number and the first ones."""
        return f"Texts({len(self):,}: {', '.join(map(repr, self[:3]))}{', ...' if len(self) > 3 else ''})"  # noqa: PLR2004

    def take(self, rows: IntArray) -> "Texts":
        """Return the texts of some rows, (M,), in their order."""
        if len(rows) == len(self) and np.array_equal(rows, np.arange(len(self))):
            return self
        taken = TextsBuilder()
        for start in range(0, len(rows), _DECODED):
            some = rows[start : start + _DECODED]
            first = self.offsets[some]
            lengths = self.offsets[some + 1] - first
            ends = np.cumsum(lengths)
            taken.add(self.data[np.arange(lengths.sum()) + np.repeat(first - ends + lengths, lengths)])
        return taken.build()

    def empty(self) -> IntArray:
        """Return the rows whose text is empty, (M,)."""
        return np.flatnonzero(np.diff(self.offsets) == 1)

    def codes(self) -> tuple[IntArray, int]:
        """Return a number for each text, equal for equal ones and ascending by first appearance, (N,); and how many."""
        import pyarrow as pa  # noqa: PLC0415  # a fifth of a second, which only large tables need

        arrow: Any = pa  # exports its names without saying so
        buffers = [None, arrow.py_buffer(self.offsets), arrow.py_buffer(np.ascontiguousarray(self.data))]
        column = arrow.LargeBinaryArray.from_buffers(arrow.large_binary(), len(self), buffers)
        encoded = column.dictionary_encode()
        return encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64), len(encoded.dictionary)


class TextsBuilder:
    """Texts that come in parts."""

    def __init__(self) -> None:
        self._data = bytearray()

    def extend(self, texts: Sequence[str]) -> None:
        """Add texts at the end."""
        joined = "".join([text.replace("\0", "") + "\0" for text in texts])
        self._data += joined.encode("utf-8", "surrogateescape")

    def add(self, data: ByteArray) -> None:
        """Add texts as they are stored, each ended by a zero byte."""
        self._data += data.tobytes()

    def build(self) -> Texts:
        """Return them; nothing can be added afterwards."""
        return Texts(np.frombuffer(self._data, np.uint8))


def _decode(data: ByteArray) -> str:
    return data.tobytes().decode("utf-8", "surrogateescape")
