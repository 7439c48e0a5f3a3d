"""Images: duplicates, leaks, outliers, images without content, and removal. Address: `images?dataset=1`."""

from functools import partial

import streamlit as st

from app.components.checked_images import draw_checked_images
from app.components.complaints import complaints
from app.components.deletion import ask_removal, choose_images, draw_removal
from app.components.links import draw_empty_page
from app.components.picker import pick
from app.services import datasets, image_checks, removals
from app.services.app_context import app_context
from app.services.label_kinds import label_kind

cards = datasets.list_datasets(app_context())
if not cards:
    found_here = "Near-duplicates, leaks between splits and outliers of a dataset are found here."
    draw_empty_page("No images to check yet", f"{found_here} Import a dataset first.")
    st.stop()
title, choice, _ = st.columns([0.8, 2.2, 4.0], vertical_alignment="center")
title.title("Images", anchor=False)
with choice:
    dataset_id = pick("dataset", {card.dataset.id: card.dataset.name for card in cards}, "Dataset")
card = next(one for one in cards if one.dataset.id == dataset_id)
classes = () if label_kind(card.dataset.task).has_pixels else card.dataset.classes
choose_images(dataset_id, classes, list(card.split_counts), "by_filter")
with complaints():
    draw_removal(
        partial(removals.preview_removal, app_context(), dataset_id),
        partial(removals.remove, app_context(), dataset_id),
    )
found = image_checks.find_known(app_context(), dataset_id)
if found is None:
    st.write(
        "Look for near-duplicates, leaks between splits, outliers and images without content. Every image is read "
        "once: about a second for a thousand photographs."
    )
    if st.button("Check images", type="primary", icon=":material/image_search:", key="check_images"):
        with st.spinner("Reading and comparing the images"):
            found = image_checks.find(app_context(), dataset_id)
        st.rerun()
else:
    draw_checked_images(found, ask_removal)
