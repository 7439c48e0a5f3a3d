"""Images: near-duplicates, leaks between splits, outliers, images without content. Address: `images?dataset=1`."""

import streamlit as st

from app.components.checked_images import draw_checked_images
from app.components.picker import pick
from app.services import datasets, image_checks
from app.services.workspace import workspace

cards = datasets.list_datasets(workspace())
if not cards:
    st.info("The images of a dataset are checked here, and there is none yet.", icon=":material/image_search:")
    st.page_link("pages/datasets.py", label="Import one", icon=":material/photo_library:")
    st.stop()
title, choice, _ = st.columns([0.8, 2.2, 4.0], vertical_alignment="center")
title.subheader("Images", anchor=False)
with choice:
    dataset_id = pick("dataset", {card.dataset.id: card.dataset.name for card in cards}, "Dataset")
found = image_checks.known(workspace(), dataset_id)
if found is None:
    st.write(
        "Look for near-duplicates, leaks between splits, outliers and images without content. Every image is read "
        "once: about a second for a thousand photographs."
    )
    if st.button("Check the images", type="primary", icon=":material/image_search:", key="check_images"):
        with st.spinner("Reading and comparing the images"):
            found = image_checks.find(workspace(), dataset_id)
        st.rerun()
else:
    draw_checked_images(found)
