"""Tags: say which classes images show, a key a class. Address: `tags?dataset=1&sample=14&show=tagged`."""

import streamlit as st

from app.components.picker import asked, instead, named, remember, remembered, warn_over
from app.components.tag_panel import tag_panel
from app.services.datasets import list_datasets
from app.services.workspace import workspace

every = {card.dataset.id: card.dataset for card in list_datasets(workspace())}
known = {number: info.name for number, info in every.items() if info.colours is not None}
if not known:
    st.title("Nothing to tag yet")
    st.write(
        "Tags say which classes an image shows, where labels are masks: a click instead of a mask. Import such images."
    )
    if st.button("Datasets", icon=":material/photo_library:", key="tags_datasets", type="primary"):
        st.switch_page("pages/datasets.py")
else:
    chosen = next(number for number in (asked("dataset"), remembered("dataset"), *known) if number in known)
    remember("dataset", chosen)
    if (text := named("dataset")) and asked("dataset") not in known:
        other = every.get(asked("dataset") or 0)
        classes = other and f"The labels of {other.name} are classes, so there is nothing to tag"
        warn_over(instead(classes or f"There is no dataset {text} to show", known[chosen]))
    tag_panel(chosen, known, asked("sample"), key="tags")
