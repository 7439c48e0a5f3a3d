"""The words of Outfold as plain values: what the method, the database and the pages all speak.

Class ids are indexes into a dataset's tuple of class names. `NO_LABEL` marks a sample nobody labelled.
Nothing here imports anything but the standard library and numpy.
"""

from core.types.arrays import NO_LABEL, ByteArray, FloatArray, IntArray
from core.types.errors import (
    ConfigError,
    DatasetError,
    ExportError,
    OutfoldError,
    RoundCancelledError,
    RoundError,
    StorageError,
)
from core.types.labels import (
    EVERY_FOLD,
    Act,
    Decision,
    Finding,
    FindingFilter,
    FindingKind,
    Order,
    Resolution,
    Status,
    Task,
    Verdict,
)
from core.types.masks import (
    IGNORE,
    WIDE_IGNORE,
    ClassTable,
    Region,
    RegionDecision,
    ignore_of,
    mask_dtype,
    pixel_of,
    widened,
)
from core.types.work import ImageFacts, Problem, Progress, Recipe, Report, RoundStatus, Severity, SourceSample

__all__ = [
    "EVERY_FOLD",
    "IGNORE",
    "NO_LABEL",
    "WIDE_IGNORE",
    "Act",
    "ByteArray",
    "ClassTable",
    "ConfigError",
    "DatasetError",
    "Decision",
    "ExportError",
    "Finding",
    "FindingFilter",
    "FindingKind",
    "FloatArray",
    "ImageFacts",
    "IntArray",
    "Order",
    "OutfoldError",
    "Problem",
    "Progress",
    "Recipe",
    "Region",
    "RegionDecision",
    "Report",
    "Resolution",
    "RoundCancelledError",
    "RoundError",
    "RoundStatus",
    "Severity",
    "SourceSample",
    "Status",
    "StorageError",
    "Task",
    "Verdict",
    "ignore_of",
    "mask_dtype",
    "pixel_of",
    "widened",
]
