"""Speed of Flath's original method on this machine: fastai's ResNet-18, batch 16, images read from PNG files.

Runs in an environment of its own (`bench/mnist_noise.py` finds or makes it); prints one line of JSON.
No pretrained weights are fetched: the speed is the same without.
"""

import json
import random
import sys
import time
from pathlib import Path

from fastai.vision.all import Callback, ImageDataLoaders, parent_label, resnet18, vision_learner

BATCH = 16
WARM_UP = 20  # batches not counted


class Stopwatch(Callback):
    """Note when each training batch ends."""

    def before_fit(self) -> None:
        """Begin."""
        self.ends: list[float] = []

    def after_batch(self) -> None:
        """Note the time of training batches."""
        if self.training:
            self.ends.append(time.perf_counter())


def main(folder: Path, batches: int) -> None:
    """Measure training and prediction over `batches` batches each."""
    paths = sorted(folder.rglob("*.png"))
    random.Random(0).shuffle(paths)  # noqa: S311 a sample, not a secret
    some = paths[: (batches + WARM_UP) * BATCH * 2]
    loaders = ImageDataLoaders.from_path_func(folder, some, parent_label, valid_pct=0.5, seed=0, bs=BATCH)
    learner = vision_learner(loaders, resnet18, pretrained=False)
    watch = Stopwatch()
    with learner.no_bar(), learner.no_logging():
        learner.fit_one_cycle(1, cbs=watch)
        counted = watch.ends[WARM_UP:]
        train = (len(counted) - 1) * BATCH / (counted[-1] - counted[0])
        test_images = loaders.test_dl(paths[-batches * BATCH :], bs=BATCH)
        started = time.perf_counter()
        learner.get_preds(dl=test_images)
        predict = batches * BATCH / (time.perf_counter() - started)
    print(json.dumps({"train_images_per_second": train, "predict_images_per_second": predict}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
