"""Which splits a recipe chooses by or tests on: those that the dataset has, and none unless somebody says so."""

from collections.abc import Sequence

import streamlit as st

from app.services.evaluation import Split

_NONE = ""


def one_split(label: str, splits: Sequence[str], key: str, about: str) -> str:
    """Ask for one of the splits and return its name, "" for none."""
    return st.selectbox(label, [_NONE, *splits], format_func=_shown, key=key, help=about) or _NONE


def several_splits(label: str, splits: Sequence[str], usual: str, key: str, about: str) -> str:
    """Ask for any of the splits and return their names with commas between; begins with the usual one, if it exists."""
    named = [name for name in splits if "," not in name]  # the settings could not tell it from two
    begin = [usual] if usual in named else []
    return ",".join(st.multiselect(label, named, begin, key=key, help=about, placeholder=_shown(_NONE)))


def to_test_on(splits: Sequence[Split]) -> list[str]:
    """Return the splits that have a name and images."""
    return [split.name for split in splits if split.name and split.images]


def to_choose_by(splits: Sequence[Split]) -> list[str]:
    """Return those of them that are not for evaluation: what is, is of the test already."""
    return to_test_on([split for split in splits if not split.protected])


def _shown(name: str) -> str:
    return name or "none"
