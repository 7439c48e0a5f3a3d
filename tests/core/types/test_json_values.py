"""JSON values of dataclasses: written, read back, and refused with the name of the faulty field."""

import json
import re
import subprocess
import sys
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

import pytest
from hypothesis import given, strategies as st

from core.types import ConfigError, ExportError, from_json_values, to_json_values


class Colour(StrEnum):
    """An enumeration."""

    RED = "red"
    BLUE = "blue"


class Span(NamedTuple):
    """A named tuple, stored as a list."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Part:
    """A dataclass within another."""

    size: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """Fields of all kinds."""

    name: str
    count: int = 0
    rate: float = 0.0
    grey: bool = False
    colour: Colour | None = None
    names: tuple[str, ...] = ()
    rates: tuple[float, ...] = ()
    parts: tuple[Part, ...] = ()
    spans: tuple[Span, ...] = ()
    by: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        """Refuse a negative count."""
        if self.count < 0:
            raise ConfigError(f"count is {self.count}", "count up")


wholes = st.builds(
    Whole,
    name=st.text(),
    count=st.integers(0),
    rate=st.floats(allow_nan=False, allow_infinity=False),
    grey=st.booleans(),
    colour=st.none() | st.sampled_from(Colour),
    names=st.lists(st.text()).map(tuple),
    rates=st.lists(st.floats(allow_nan=False, allow_infinity=False)).map(tuple),
    parts=st.lists(st.builds(Part, st.integers())).map(tuple),
    spans=st.lists(st.builds(Span, st.integers(), st.integers())).map(tuple),
    by=st.text(),
)


@given(wholes)
def test_written_values_read_back(whole: Whole) -> None:
    values = json.loads(json.dumps(to_json_values(whole)))
    read = from_json_values(Whole, values)
    assert (read, read.by, hash(read)) == (whole, whole.by, hash(whole))
    assert from_json_values(Whole, to_json_values(whole)) == whole


def test_missing_values_have_their_defaults_and_integers_are_accepted_as_floats() -> None:
    assert from_json_values(Whole, {"name": "a", "rate": 2, "spans": [[1, 2]]}) == Whole(
        name="a", rate=2.0, spans=(Span(1, 2),)
    )


@pytest.mark.parametrize(
    ("values", "cause"),
    [
        ({}, "name is missing"),
        ({"name": 7}, "name is 7, must be a text"),
        ({"name": "a", "count": "1"}, 'count is "1", must be a whole number'),
        ({"name": "a", "count": 1.5}, "count is 1.5, must be a whole number"),
        ({"name": "a", "rate": "1"}, 'rate is "1", must be a number'),
        ({"name": "a", "grey": 1}, "grey is 1, must be true or false"),
        ({"name": "a", "colour": "green"}, "'green' is not one of red, blue"),
        ({"name": "a", "names": "b"}, "names are 'b', must be a list of texts"),
        ({"name": "a", "names": [1]}, "names are [1], must be a list of texts"),
        ({"name": "a", "rates": [1, None]}, "rates are [1, None], must be a list of numbers"),
        ({"name": "a", "parts": [1]}, "parts are [1], must be a list of settings"),
        ({"name": "a", "parts": [{"size": "x"}]}, 'size is "x", must be a whole number'),
        ({"name": "a", "spans": [[1]]}, "spans are [[1]], must be a list"),
        ({"name": "a", "b": 1, "a": 2, "count": "x"}, "unknown settings a, b; known are by, colour, count"),
        ({"name": "a", "parts": [{}, {"b": 1}]}, "unknown settings b; known are size"),
        ({"name": "a", "count": -1}, "count is -1; count up"),
        ({"name": "\udcff"}, "a value holds bytes that are not text"),
        ([1], "[1] is no JSON object"),
    ],
)
def test_an_invalid_value_is_refused_by_name(values: object, cause: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(cause)}"):
        from_json_values(Whole, values)


def test_the_caller_chooses_the_error_and_its_message() -> None:
    with pytest.raises(ExportError) as refused:
        from_json_values(Part, {"b": 1}, error=ExportError, unknown="no option {}")
    assert (refused.value.message, refused.value.cure) == ("no option b", "known are size")


def test_pydantic_is_loaded_on_first_use() -> None:
    code = "import sys, core.config; assert 'pydantic' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
