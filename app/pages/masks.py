"""Masks: editor of labels by pixel. Address: `masks?dataset=1&round=3&sample=14&finding=159`."""

from app.components.links import draw_empty_page
from app.components.mask_editor import mask_editor
from app.components.picker import address_id, address_text, fallback_text, remember, warn_over
from app.services.app_context import app_context
from app.services.masks import editing

wanted = editing.find_opening(app_context(), address_id("round"), address_id("sample"), address_id("dataset"))
opening = wanted or editing.find_opening(app_context())
if opening is None:
    draw_empty_page(
        "No masks to edit yet",
        "Every image of a dataset whose labels are masks can be painted here. Import a dataset with masks first.",
    )
else:
    remember("dataset", opening.dataset_id)
    if opening.round_id is not None:
        remember("round", opening.round_id)
    address = {parameter: address_text(parameter) for parameter in ("round", "dataset", "sample")}
    if problem := editing.opening_problem(app_context(), opening, address):
        warn_over(fallback_text(*problem))
    mask_editor(opening, address_id("finding"), key="masks")
