"""The catalogues of a simulated sky: what surveys before would have listed where its objects are.

Every object gets sources that make its class come out: a star under a variable, a quasar under a nucleus, a host
beside a supernova. What Sherlock should say of it is written in the truth file. A thin background of stars and galaxies
makes some of it wrong, as in a real sky.

The tables have the column names of the real catalogues, so that the shipped descriptions read them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lasair.catalogues.describe import load_description
from lasair.simulate.messages import Truth
from lasair.simulate.visits import offset_position

#: Julian year of the positions of Gaia's stars.
GAIA_EPOCH = 2016.0
_VARIABLE_STARS = ("rrlyrae", "eclipsing", "mira", "cepheid", "variable")
#: Synonym radius of galaxies [arcsec]; hosts nearer than that are given a little more room than the rule.
_CORE_ARCSEC, _CLEAR_ARCSEC = 1.1, 1.5
#: Stars and galaxies of the background for every object.
_BACKGROUND = 3

Rows = list[dict[str, Any]]


class SkyOf:
    """Collects the catalogues of simulated objects.

    Parameters
    ----------
    rng : draws what the truth leaves open; the same seed, the same catalogues
    epoch : Julian year in which the alerts come; fast stars are where the objects are then
    """

    def __init__(self, rng: np.random.Generator, epoch: float) -> None:
        self._rng = rng
        self._epoch = epoch
        self._number = 0
        self.tables: dict[str, Rows] = {}

    def add(self, truth: Truth) -> str:
        """List an object's surroundings; the class that Sherlock should give it, '' for a mover."""
        if truth.kind == "mover":
            return ""
        self._background(truth)
        if truth.kind in _VARIABLE_STARS:
            return self._variable(truth)
        if truth.kind in ("cv", "agn", "flare", "microlensing", "bogus"):
            return str(getattr(self, f"_{truth.kind}")(truth))
        if truth.kind in ("slsn", "kilonova", "tde", "sn_ia", "sn_ii", "sn_ibc"):
            return self._hosted(truth)
        return "ORPHAN"

    def _row(self, table: str, **columns: Any) -> None:
        self.tables.setdefault(table, []).append(columns)

    def _id(self) -> int:
        self._number += 1
        return self._number

    def _near(self, truth: Truth, low: float, high: float) -> tuple[float, float]:
        """A place between two distances [arcsec] of an object."""
        distance, angle = self._rng.uniform(low, high) / 3600.0, self._rng.uniform(0.0, 2.0 * np.pi)
        return _moved(truth.ra, truth.decl, distance * np.cos(angle), distance * np.sin(angle))

    def _gaia(self, ra: float, decl: float, mag: float, **columns: Any) -> None:
        self._row(
            "gaia",
            **{
                "source_id": 10**15 + self._id(), "ra": ra, "dec": decl, "pmra": 0.0, "pmdec": 0.0,
                "phot_g_mean_mag": mag, "phot_g_mean_flux_over_error": 200.0,
                "in_qso_candidates": 0, "in_galaxy_candidates": 0,
            }
            | columns,
        )  # fmt: skip

    def _ps1(self, ra: float, decl: float, mag: float, score: float | None, radius: float) -> None:
        self._row(
            "ps1",
            objID=10**14 + self._id(), raAve=ra, decAve=decl, ps_score=score, rKronRad=radius, iKronRad=radius,
            rKronMag=mag, rKronMagErr=0.03,
        )  # fmt: skip

    def _variable(self, truth: Truth) -> str:
        ra, decl = self._near(truth, 0.0, 0.3)
        mag = _mag(truth)
        self._gaia(ra, decl, mag)
        self._ps1(ra, decl, mag, 0.97, 0.8)
        if mag < 15.0:
            self._row(
                "twomass_psc",
                designation=f"{self._id():08d}+0000000", ra=ra, decl=decl, j_m=mag - 1.0, j_msigcom=0.03, ph_qual="AAA",
            )  # fmt: skip
        return "VS"

    def _cv(self, truth: Truth) -> str:
        ra, decl = self._near(truth, 0.0, 0.5)
        self._gaia(ra, decl, _mag(truth))
        if self._rng.random() < 0.5:
            self._row("downes", catalogue_id=self._id(), raDeg=ra, decDeg=decl, variability_type="ug")
        else:
            self._row("ritter", name=f"Sim CV {self._id()}", raDeg=ra, decDeg=decl, type="DN")
        return "CV"

    def _agn(self, truth: Truth) -> str:
        ra, decl = self._near(truth, 0.0, 0.3)
        mag = _mag(truth)
        self._gaia(ra, decl, mag, in_qso_candidates=1)
        self._row(
            "milliquas",
            name=f"SIM J{self._id():06d}", raDeg=ra, decDeg=decl, type="Q", z=truth.redshift, rmag=mag, bmag=mag + 0.3,
        )  # fmt: skip
        return "AGN"

    def _flare(self, truth: Truth) -> str:
        # an M dwarf nearby: 0.15 to 2 arcsec a year, listed where it was in 2016
        speed, angle = self._rng.uniform(150.0, 2000.0), self._rng.uniform(0.0, 2.0 * np.pi)
        pm_ra, pm_decl = float(speed * np.cos(angle)), float(speed * np.sin(angle))
        back = (GAIA_EPOCH - self._epoch) / 3.6e6
        ra, decl = _moved(truth.ra, truth.decl, pm_ra * back, pm_decl * back)
        columns = {
            "source_id": 2 * 10**15 + self._id(), "ra": ra, "dec": decl, "pmra": pm_ra, "pmdec": pm_decl,
            "phot_g_mean_mag": _mag(truth), "phot_g_mean_flux_over_error": 200.0,
            "in_qso_candidates": 0, "in_galaxy_candidates": 0,
        }  # fmt: skip
        self._row("gaia", **columns)
        self._row("gaia_hpm", **columns)
        return "HPMS"

    def _microlensing(self, truth: Truth) -> str:
        ra, decl = self._near(truth, 0.2, 1.0)
        self._ps1(ra, decl, _mag(truth), None, 1.0)
        return "UNCLEAR"

    def _bogus(self, truth: Truth) -> str:
        chance = self._rng.random()
        if chance < 0.45:
            return "ORPHAN"
        if chance < 0.55:
            return self._microlensing(truth)
        ra, decl = self._near(truth, 3.5, 6.0)
        self._gaia(ra, decl, float(self._rng.uniform(8.0, 15.0)))
        return "BS"

    def _hosted(self, truth: Truth) -> str:
        if truth.host_ra is None or truth.host_decl is None or truth.host_mag is None or truth.kind == "slsn":
            return "ORPHAN"
        ra, decl, z = truth.host_ra, truth.host_decl, truth.redshift
        apart = _separation(truth.ra, truth.decl, ra, decl)
        if truth.kind == "tde":
            # a nucleus is where it is: the offset is what the astrometry leaves
            ra, decl = self._near(truth, 0.0, 0.5)
            apart = 0.5
        if apart >= _CORE_ARCSEC and apart <= _CLEAR_ARCSEC:
            ra, decl = self._near(truth, _CLEAR_ARCSEC, 3.0)
            apart = _CLEAR_ARCSEC
        kpc = None if z is None else 4.2e3 * z * apart / 206.0
        # photometric galaxies are never synonyms: a host listed only so leaves a transient near its core a supernova
        if truth.kind != "tde" and (z is None or z <= 0.002 or kpc is None or kpc > 40.0 or self._rng.random() < 0.5):
            if apart > 9.0:
                return "ORPHAN"
            self._ps1(ra, decl, truth.host_mag, 0.05, max(2.0, apart))
            return "SN"
        columns = {"raDeg": ra, "decDeg": decl, "object_type": "G", "redshift": z, "magnitude": truth.host_mag}
        if truth.kind == "kilonova" and z is not None and z < 0.05:
            self._row(
                "ned_d",
                **columns, primary_ned_id=f"SIM D{self._id()}", master_row=1, dist_mpc_median=z * 4283.0,
                major_diameter_arcmin=1.0, galaxy_index_id=self._number, dist_index_id=self._number,
            )  # fmt: skip
        elif self._rng.random() < 0.5:
            self._row("ned", **columns, ned_name=f"SIM G{self._id()}", major_diameter_arcmin=None)
        else:
            self._row(
                "sdss_spec",
                objID=10**17 + self._id(), qubPrimaryId=self._number, ra=ra, dec_=decl, type=3, objType="G", z_=z,
                qubMasterFlag=1, petroMag_r=truth.host_mag, petroMagErr_r=0.05,
            )  # fmt: skip
        return "NT" if apart <= _CORE_ARCSEC else "SN"

    def _background(self, truth: Truth) -> None:
        """Sources that have nothing to do with the object, within ten arcminutes."""
        distance = 600.0 * np.sqrt(self._rng.random(_BACKGROUND)) / 3600.0
        angle = self._rng.uniform(0.0, 2.0 * np.pi, _BACKGROUND)
        for east, north in zip(distance * np.cos(angle), distance * np.sin(angle), strict=True):
            ra, decl = _moved(truth.ra, truth.decl, float(east), float(north))
            mag = float(self._rng.uniform(15.0, 21.5))
            if self._rng.random() < 0.6:
                self._gaia(ra, decl, mag)
            else:
                self._ps1(ra, decl, mag, float(self._rng.beta(1.0, 12.0)), float(self._rng.uniform(1.0, 4.0)))

    def write(self, folder: Path) -> None:
        """Write ``<catalogue>.parquet`` for every catalogue that has a source."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        folder.mkdir(parents=True, exist_ok=True)
        for name, rows in sorted(self.tables.items()):
            there = dict.fromkeys(column for row in rows for column in row)
            table = pa.Table.from_pylist([{column: row.get(column) for column in there} for row in rows])
            # what the simulation does not know is null, as in the real tables
            for column in sorted(load_description(name).native_columns() - set(there)):
                table = table.append_column(column, pa.nulls(len(rows), pa.float64()))
            pq.write_table(table, folder / f"{name}.parquet")


def _mag(truth: Truth) -> float:
    return 20.0 if truth.mag is None else float(truth.mag)


def _moved(ra: float, decl: float, east: float, north: float) -> tuple[float, float]:
    """A place at an offset [deg] from another."""
    found = offset_position(_one(ra), _one(decl), _one(east), _one(north))
    return float(found[0][0]) % 360.0, float(found[1][0])


def _one(value: float) -> NDArray[np.float64]:
    return np.array([value], np.float64)


def _separation(ra: float, decl: float, other_ra: float, other_decl: float) -> float:
    from lasair.sky.separation import separation_arcsec

    return float(separation_arcsec(ra, decl, other_ra, other_decl))
