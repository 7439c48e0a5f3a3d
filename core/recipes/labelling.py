"""Order of unlabelled images for labelling by hand: similar ones are adjacent.

A frozen network embeds the images; embeddings are shared with rounds that probe the same network. No network is
trained. The round's folder gets `order.npy`, the place of each image (N,), and `neighbours.npy`.
"""

from collections.abc import Callable
from pathlib import Path

from core.config import RoundConfig
from core.data.snapshot import Snapshot
from core.data.storage import save_array
from core.embedding import embed_round
from core.judge.similarity import ORDER, order_by_similarity
from core.learn.crossfold import FoldCallbacks
from core.learn.training import stop_if
from core.tasks import RoundPaths, task_of
from core.types import EMBEDDING_SHARE, Progress, Report


def order_images(
    folder: Path,
    config: RoundConfig,
    *,
    image_cache: Path,
    report: Report,
    should_stop: Callable[[], bool] = lambda: False,
) -> None:
    """Write the order and the neighbours of a round's images, unless they exist.

    Raises:
        RoundCancelledError: `should_stop` returned true.
        RoundError: an image cannot be read, or no image fits into the device's memory.
    """
    path = folder / ORDER
    if path.exists():
        return
    snapshot = Snapshot.load(folder)
    task, callbacks = task_of(snapshot), FoldCallbacks(report, should_stop)
    places = RoundPaths(folder, image_cache, None)
    embeddings = embed_round(snapshot, config, places, fold=0, callbacks=callbacks, task=task).embeddings
    stop_if(should_stop)
    report(Progress("ordering by similarity", 0, 1, fraction=EMBEDDING_SHARE))
    place = order_by_similarity(folder, embeddings, image_cache)
    save_array(path, place)
