"""Questions of an import: the meaning of masks in its preview, and classes without images in a source.

Answers on masks are kept in the session under their source, so that another folder starts without any.
"""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from app.services.imports.jobs import GoneClass
from core.data.formats.source import Question


def answers_of(source: str, key: str) -> dict[str, Any]:
    """Return the answers for this source, by field of the request."""
    return dict(_all(key).get(source, {}))


def draw_questions(questions: tuple[Question, ...], source: str, key: str) -> None:
    """Draw the open questions with a button for each answer, and the button that discards answers."""
    for question in questions:
        with st.container(border=True, key=f"{key}_{question.kind.replace(' ', '_')}"):
            st.text(question.text)
            if question.blocking:
                st.caption("To be answered before the import.")
            with st.container(horizontal=True):
                for answer in question.answers:
                    name = f"{key}_{answer.option}_{answer.value}"
                    if st.button(answer.text[:1].upper() + answer.text[1:], key=name):
                        _all(key).setdefault(source, {})[answer.option] = answer.value
                        st.rerun()
    given = answers_of(source, key)
    if given:
        answers = ", ".join(f"{option.replace('_', ' ')}: {value}" for option, value in given.items())
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption(f"Answered: {answers}")
            if st.button("Ask again", key=f"{key}_again", icon=":material/undo:"):
                _all(key).pop(source, None)
                st.rerun()


def _all(key: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = st.session_state.setdefault(f"{key}_answers", {})
    return found


_RENAMED, _KEPT = "It was renamed", "It stays a class"


def gone_classes(gone: Sequence[GoneClass], key: str) -> tuple[list[str], list[str]] | None:
    """Draw a choice for each class with the likeliest answer as default, and return the confirmed answers.

    Answers are renamed classes, each `old=new`, and classes that stay although the source has no images of them.
    """
    with st.container(border=True, key=key):
        kept, renamed = list[str](), list[str]()
        for number, one in enumerate(gone):
            st.text(one.message)
            choices = [_RENAMED, _KEPT] if one.renamed else [_KEPT]
            chosen = st.segmented_control(
                one.name,
                choices,
                default=choices[0],
                required=True,
                key=f"{key}_{number}",
                label_visibility="collapsed",
            )
            if chosen == _RENAMED:
                renamed.append(f"{one.name}={one.now}")
            else:
                kept.append(one.name)
        pressed = st.button("Import with this answer", type="primary", icon=":material/sync:", key=f"{key}_go")
    return (renamed, kept) if pressed else None
