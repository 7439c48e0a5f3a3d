"""JSON values of dataclasses, and dataclasses of stored JSON values, both by the types of the fields.

pydantic reads and writes them. It is imported at the first use, since a command that reads none need not wait for it.
"""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_type_hints

from core.types.errors import ConfigError, OutfoldError

if TYPE_CHECKING:
    from pydantic import TypeAdapter
    from pydantic_core import ErrorDetails

Kind = TypeVar("Kind")

_KINDS: Mapping[str, str] = {  # by pydantic's type of error
    "bool_type": "true or false",
    "int_type": "a whole number",
    "float_type": "a number",
    "string_type": "a text; a number as one stands in quotes, as in '\"2020\"'",
}
_ADAPTERS: "dict[type, TypeAdapter[Any]]" = {}
_ITEMS: Mapping[type, str] = {float: "numbers, for example [0.75, 1, 1.25]", str: "texts"}


def to_json_values(value: object) -> dict[str, Any]:
    """Return the JSON values of a dataclass."""
    values: dict[str, Any] = _adapter(type(value)).dump_python(value, mode="json")
    return values


def from_json_values(
    kind: type[Kind], values: object, *, error: type[OutfoldError] = ConfigError, unknown: str = "unknown settings {}"
) -> Kind:
    """Return the dataclass that is stored as `values`; missing ones have their defaults.

    Args:
        kind: the dataclass.
        values: JSON values.
        error: raised if they are invalid.
        unknown: its message about names that the dataclass does not have.

    Raises:
        OutfoldError: `error`, or one that the dataclass itself raises.
    """
    from pydantic import ValidationError  # noqa: PLC0415  see above

    try:
        read: Kind = _adapter(kind).validate_json(json.dumps(values), strict=True, extra="forbid")
    except ValidationError as invalid:
        found = invalid.errors(include_url=False)
    else:
        return read
    own = found[0].get("ctx", {}).get("error")
    if isinstance(own, OutfoldError):
        raise own
    strange = [one["loc"] for one in found if one["type"] == "unexpected_keyword_argument"]
    if not strange:
        raise error(_in_words(kind, values, found[0]))
    *place, _ = strange[0]
    names = ", ".join(sorted(str(name) for *within, name in strange if within == place))
    known = ", ".join(sorted(get_type_hints(_kind_at(kind, place)))) or "none"
    raise error(unknown.format(names), f"known are {known}")


def _adapter(kind: type) -> "TypeAdapter[Any]":
    """Return the reader and writer of a dataclass, made once."""
    from pydantic import TypeAdapter  # noqa: PLC0415  see above

    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]


def _kind_at(kind: type, place: Sequence[int | str]) -> type:
    """Return the type at a place in a dataclass: names of fields, and numbers of items."""
    for part in place:
        kind = get_args(kind)[0] if isinstance(part, int) else get_type_hints(kind)[part]
    return kind


def _in_words(kind: type, values: object, found: "ErrorDetails") -> str:
    """Return the message of an invalid value; in a list, that of the whole list."""
    place, given, what = found["loc"], found["input"], found["type"]
    if what == "json_invalid":
        return "a value holds bytes that are not text"
    if not place:
        return f"{json.dumps(values)[:60]} is no JSON object"
    name = place[-1]
    if isinstance(name, int) or what == "tuple_type":
        while isinstance(place[-1], int):
            place = place[:-1]
        items = _ITEMS.get(get_args(_kind_at(kind, place))[0], "settings")
        listed: Any = values
        for part in place:
            listed = listed[part]
        return f"{place[-1]} are {listed!r}, must be a list of {items}"
    if what == "missing":
        return f"{name} is missing"
    if what == "enum":
        choices = found["ctx"]["expected"].replace("'", "").replace(" or ", ", ")
        return f"{given!r} is not one of {choices}"
    return f"{name} is {json.dumps(given)}, must be {_KINDS.get(what, 'of another kind')}"
