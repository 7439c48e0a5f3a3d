"""Shards of a round over a frozen network: ranges of its images, each embedded by a job of its own.

`shards.json` in the folder of a network, written as the round opens, says how its images are divided; a round of one
shard has none. A finished shard is `shards/<number>.npy` there, embeddings (M, D) float16 of its rows, in their order.
Each shard but the last ends with a whole batch, so every image is embedded in the batch that it has without shards.
"""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from core.data.storage import write_atomically

IMAGES = 32_768  # of a shard: minutes of work, and a power of two, so a multiple of most batch sizes
FOLDER = "shards"
_PLAN = "shards.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shards:
    """Division of a round's images, for one of its networks: about `size` of `images` in each shard."""

    images: int
    size: int
    batch_size: int

    @property
    def count(self) -> int:
        """Number of shards."""
        return -(-self.images // self.size)

    def rows(self, shard: int) -> range:
        """Return the rows of a shard."""
        return range(self._begin(shard), self._begin(shard + 1))

    def _begin(self, shard: int) -> int:
        return self.images if shard == self.count else shard * self.size // self.batch_size * self.batch_size


def divide(images: int, batch_size: int) -> Shards | None:
    """Return the shards of this number of images, None if one shard holds them all."""
    shards = Shards(images=images, size=max(IMAGES, batch_size), batch_size=batch_size)
    return shards if shards.count > 1 else None


def save_shards(folder: Path, shards: Shards) -> None:
    """Write the division of a network's images into its folder."""
    write_atomically(folder / _PLAN, json.dumps(asdict(shards)).encode())


def load_shards(folder: Path) -> Shards | None:
    """Return the division of a network's images from its folder, None if they are in one shard."""
    try:
        return Shards(**json.loads((folder / _PLAN).read_bytes()))
    except FileNotFoundError:
        return None


def count_shards(folder: Path) -> int:
    """Return the number of shards of a round by its folder, 0 for a round of one."""
    plans = [folder / _PLAN, *folder.glob(f"*/{_PLAN}")]  # of the first network and of further ones
    return max((shards.count for plan in plans if (shards := load_shards(plan.parent)) is not None), default=0)


def remove_shards(folder: Path) -> None:
    """Remove the shards of a round whose folds are done; nothing reads them any more."""
    for shards in (folder / FOLDER, *folder.glob(f"*/{FOLDER}")):
        shutil.rmtree(shards, ignore_errors=True)


def shard_file(folder: Path, shard: int) -> Path:
    """Return the path of a finished shard in the folder of its network."""
    return folder / FOLDER / f"{shard}.npy"


def shard_of(name: str) -> int | None:
    """Return the number of the shard that a file of a round's folder holds, by its path there; None for any other."""
    path = Path(name)
    return int(path.stem) if path.parent.name == FOLDER else None
