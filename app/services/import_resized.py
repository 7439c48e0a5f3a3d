"""Images of masks that come in another size than before: what is known of their pixels would not fit them."""

from app.services.import_masks import Masks
from app.services.workspace import Workspace
from core.data.formats.source import Problems
from db.queries import incoming, mask_images

_CHUNK = 4_000  # rows in one statement or transaction


def leave_out_resized(workspace: Workspace, import_id: int, dataset_id: int, problems: Problems, masks: Masks) -> None:
    """Keep out what is an image of another size now: its first mask, which stands, would not fit it.

    Nor would what people painted in an image that came without one, or the regions that rounds found there.
    """
    with workspace.database.read() as session:
        changed = [one for one in incoming.arrivals(session, import_id, dataset_id) if one.is_resized]
        bare = [one.old.path for one in changed if one.old.mask_hash is None]
        kept = {
            path
            for start in range(0, len(bare), _CHUNK)
            for path in mask_images.painted_or_found(session, dataset_id, bare[start : start + _CHUNK])
        }
    resized = [one for one in changed if one.old.mask_hash is not None or one.old.path in kept]
    for arrival in resized:
        old, new = arrival.old, arrival.new
        what = "its regions are of an image of" if arrival.old.mask_hash is None else "the mask it was imported with"
        problems.error(
            "size changed",
            new.name,
            f"it is {new.width} x {new.height} now, {what} {old.width} x {old.height}",
            "give the new image another name, or import into a new dataset",
        )
        masks.count(new.mask_hash, -1)
    for start in range(0, len(resized), _CHUNK):
        with workspace.database.write() as session:
            incoming.leave_out(session, import_id, [one.new.path for one in resized[start : start + _CHUNK]])
