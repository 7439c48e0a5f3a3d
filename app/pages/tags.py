"""Tags: mark the classes that images show, one key per class. Address: `tags?dataset=1&sample=14&show=tagged`."""

from app.components.links import draw_empty_page
from app.components.picker import address_id, address_text, fallback_text, last_shown, remember, warn_over
from app.components.tag_panel import tag_panel
from app.services.app_context import app_context
from app.services.datasets import list_datasets
from app.services.label_kinds import label_kind

every = {card.dataset.id: card.dataset for card in list_datasets(app_context())}
known = {number: info.name for number, info in every.items() if label_kind(info.task).has_pixels}
if not known:
    draw_empty_page(
        "Nothing to tag yet",
        "In datasets of masks, tags mark with one click the classes that an image shows. Import a dataset with masks "
        "first.",
    )
else:
    chosen = next(number for number in (address_id("dataset"), last_shown("dataset"), *known) if number in known)
    remember("dataset", chosen)
    if (text := address_text("dataset")) and address_id("dataset") not in known:
        other = every.get(address_id("dataset") or 0)
        classes = other and f"The labels of {other.name} are classes, so there is nothing to tag"
        warn_over(fallback_text(classes or f"There is no dataset {text} to show", known[chosen]))
    tag_panel(chosen, known, address_id("sample"), key="tags")
