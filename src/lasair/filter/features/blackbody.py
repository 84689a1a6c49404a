"""Black bodies seen through the LSST bands: the numbers that colours and fits share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Effective wavelengths of the bands u to y [µm].
WAVELENGTHS: NDArray[np.float64] = np.array([0.380, 0.500, 0.620, 0.740, 0.880, 1.000])
#: h c / k [µm kK].
SECOND_RADIATION = 14.387
