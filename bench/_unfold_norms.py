"""Give an encoder whose batch norms were folded into its kernels norms that can be trained.

    python bench/_unfold_norms.py mobilenetv2_100.safetensors camvid.tar unfolded.safetensors

Such weights say the same as before as long as their norms are kept still; a norm that takes statistics of its own loses
what was folded. So the mean and deviation of what each norm sees of CamVid's training images become its statistics, and
its scale and shift undo them. The encoder was made for images from -1 to 1; the first kernel is scaled to what a
recipe shows: a mean of 0 and a deviation of 1.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
import timm
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench._data import unpack
from bench.planted_masks import ARCHIVE
from core.learn.batches import Scaling

_EVERY = 3  # images that are used
_AT_ONCE = 16


class Seen:
    """Inputs of a norm as sums over images and pixels: (C,) of values and of their squares."""

    def __init__(self, channels: int) -> None:
        """Start without data."""
        self.count, self.sum, self.squares = 0, torch.zeros(channels).double(), torch.zeros(channels).double()

    def __call__(self, _norm: nn.Module, given: tuple[Tensor]) -> None:
        """Add the input of the norm, (B, C, H, W)."""
        values = given[0].double()
        self.count += values.numel() // values.shape[1]
        self.sum += values.sum((0, 2, 3))
        self.squares += values.square().sum((0, 2, 3))


def main() -> None:
    """Write the unfolded weights."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument(
        "--encoder", default="mobilenetv2_100", help="its name in timm; its stem must be conv_stem, bn1"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="outfold-bench-") as scratch:
        found = sorted(unpack(arguments.data, Path(scratch), ARCHIVE).glob("train/images/*.jpg"))[::_EVERY]
        array = np.stack([np.asarray(Image.open(path).convert("RGB")) for path in found])
    network = timm.create_model(arguments.encoder, num_classes=0, global_pool="").eval()
    network.load_state_dict({name: tensor.float() for name, tensor in load_file(arguments.weights).items()})
    scaling = Scaling.measured(array)
    mean, deviation = (torch.tensor(values).view(1, 3, 1, 1) for values in (scaling.mean, scaling.std))
    shown = (torch.from_numpy(array).permute(0, 3, 1, 2).float() / 255 - mean) / deviation
    with torch.no_grad():
        rescale(network, mean, deviation)
        before = network(shown[:_AT_ONCE])
        unfold(network, shown)
        change = (network(shown[:_AT_ONCE]) - before).abs().max() / before.abs().max()
    save_file(network.state_dict(), arguments.out)
    print(f"{arguments.out}: what the encoder says changed by {change:.1e} of its largest value")


def rescale(network: nn.Module, mean: Tensor, deviation: Tensor) -> None:
    """Let the first kernel take images with these statistics of values in [0, 1] brought to 0 and 1."""
    stem, norm = network.get_parameter("conv_stem.weight"), network.get_parameter("bn1.bias")
    norm.data += (stem.data * (mean * 2 - 1)).sum((1, 2, 3))
    stem.data *= deviation * 2


def unfold(network: nn.Module, shown: Tensor) -> None:
    """Give each norm the statistics of its input, and a scale and shift that undo them."""
    norms = {norm: Seen(norm.num_features) for norm in network.modules() if isinstance(norm, nn.BatchNorm2d)}
    hooks = [norm.register_forward_pre_hook(seen) for norm, seen in norms.items()]
    for batch in torch.split(shown, _AT_ONCE):
        network(batch)
    for hook in hooks:
        hook.remove()
    for norm, seen in norms.items():
        mean = seen.sum / seen.count
        variance = (seen.squares / seen.count - mean.square()).clamp_min(0)
        norm.running_mean, norm.running_var = mean.float(), variance.float()
        norm.weight.data, norm.bias.data = (variance.float() + norm.eps).sqrt(), norm.bias.data + mean.float()


if __name__ == "__main__":
    main()
