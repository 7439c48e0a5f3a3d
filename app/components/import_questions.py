"""Questions about the meaning of masks in the preview of an import, each answered with one click.

Answers live in the session under their source, so that another folder begins without any.
"""

from typing import Any

import streamlit as st

from core.data.formats.questions import Question


def answers_of(source: str, key: str) -> dict[str, Any]:
    """Return the answers given so far for this source, by field of the request."""
    return dict(_all(key).get(source, {}))


def draw_questions(questions: tuple[Question, ...], source: str, key: str) -> None:
    """Draw the open questions with a button an answer, and the way to take answers back."""
    for question in questions:
        with st.container(border=True, key=f"{key}_{question.kind.replace(' ', '_')}"):
            st.text(question.text)
            if question.blocking:
                st.caption("To be answered before the import.")
            with st.container(horizontal=True):
                for answer in question.answers:
                    name = f"{key}_{answer.option}_{answer.value}"
                    if st.button(answer.text[:1].upper() + answer.text[1:], key=name, help=answer.flag):
                        _all(key).setdefault(source, {})[answer.option] = answer.value
                        st.rerun()
    given = answers_of(source, key)
    if given:
        said = ", ".join(f"{option.replace('_', ' ')}: {value}" for option, value in given.items())
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption(f"Answered: {said}")
            if st.button("Ask again", key=f"{key}_again", icon=":material/undo:"):
                _all(key).pop(source, None)
                st.rerun()


def _all(key: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = st.session_state.setdefault(f"{key}_answers", {})
    return found
