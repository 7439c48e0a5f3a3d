"""Arrays, and the class id of a sample without a label."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating[Any]]
IntArray = NDArray[np.integer[Any]]
ByteArray = NDArray[np.uint8]

NO_LABEL = -1
