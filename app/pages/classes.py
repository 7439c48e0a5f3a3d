"""Classes: rename, merge, order and add the classes of a dataset. Address: `classes?dataset=1&merge=3&into=5`."""

import streamlit as st

from app.components.class_table import class_table
from app.components.picker import address_id, address_text, fallback_text, last_shown, remember, warn_over
from app.services.app_context import app_context
from app.services.datasets import list_datasets

known = {card.dataset.id: card.dataset.name for card in list_datasets(app_context())}
if not known:
    st.title("No classes yet")
    st.write("The classes of a dataset are renamed, merged and ordered here. Import one first.")
    if st.button("Datasets", icon=":material/photo_library:", key="classes_datasets", type="primary"):
        st.switch_page("pages/datasets.py")
else:
    chosen = next(number for number in (address_id("dataset"), last_shown("dataset"), *known) if number in known)
    remember("dataset", chosen)
    if (text := address_text("dataset")) and address_id("dataset") not in known:
        warn_over(fallback_text(f"There is no dataset {text} to show", known[chosen]))
    both = address_id("merge"), address_id("into")
    merge = (both[0], both[1]) if both[0] is not None and both[1] is not None and both[0] != both[1] else None
    class_table(chosen, known, merge, key="classes")
