"""What features take from outside the light curve."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

#: Sherlock classes whose host, if any, gives a distance: the others are nuclei or stars.
EXTRAGALACTIC = ("SN", "NT", "ORPHAN")


def now_text() -> str:
    """The time in the form of a `timestamp` column: UTC with microseconds."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


@dataclass
class Context:
    """The sky at the positions of a batch's alerts; NaN and '' where nothing is known.

    Attributes
    ----------
    ebv : (n,) float64 [mag]
        Galactic E(B-V) of SFD98.
    sherlock_class : (n,) text
        Sherlock's classification.
    best_distance_mpc : (n,) float64 [Mpc]
        Sherlock's best distance of the host.
    z, photoz : (n,) float64
        Spectroscopic and photometric redshift of the host.
    timestamp : time of this row's writing, 'YYYY-MM-DD HH:MM:SS.ffffff' UTC
    """

    ebv: NDArray[np.float64]
    sherlock_class: NDArray[np.str_]
    best_distance_mpc: NDArray[np.float64]
    z: NDArray[np.float64]
    photoz: NDArray[np.float64]
    timestamp: str

    @classmethod
    def unknown(cls, n: int, timestamp: str = "") -> Context:
        """Nothing known of `n` positions; `timestamp` defaults to now."""
        return cls(
            ebv=np.full(n, np.nan),
            sherlock_class=np.full(n, "", "<U16"),
            best_distance_mpc=np.full(n, np.nan),
            z=np.full(n, np.nan),
            photoz=np.full(n, np.nan),
            timestamp=timestamp or now_text(),
        )

    def extragalactic(self) -> NDArray[np.bool_]:
        """Where a distance may be used: (n,) True for supernovae, nuclear transients and orphans."""
        return np.isin(self.sherlock_class, EXTRAGALACTIC)
