"""Crowded skies by chance: sites with sources of every table and view around them, near every limit of the rules.

No source lies within 1e-3" of a radius or of the edge of its size, nor two at 1" to within that, so that an answer
does not hang on the last digits of a separation.
"""

from __future__ import annotations

import math
import random
from typing import Any

from tests.support.sherlock_reference import TABLES, separation

#: Radii of the rules [arcsec].
_RADII = (1.0, 1.3, 1.5, 2.5, 3.0, 7.0, 10.0, 20.0, 25.0, 30.0, 60.0, 120.0, 240.0, 300.0, 1800.0, 14000.0)
_MARGIN = 1e-3
_NED_TYPES = (
    *("G", "G", "G", "G", "G", "G", "QSO", "QSO", "QSO", "SN", "*", "!*", "V*", "Nova", "nova", "XrayS", "RadioS"),
    *("UvS", "UvES", "IrS", "VisS", "HII", "GClstr", "GGroup", "GPair", "GTrpl", "G_Lens", "PofG"),
    *("SNR", "PN", "EmLS", "GammaS", "Q_Lens", "QGroup", "AbLS", "Other", "MCld", "*Cl", "Blue*", None),
)
_DENIED = {
    "ned": ("WISEA J193037.70-521726.0", "2MASX J19303773-5217259", "Sagittarius Dwarf Spheroidal", "CFN 1064"),
    "nedd": ("Sagittarius Dwarf Spheroidal", "SDSS J093558.42+055602.5"),
    "milli": ("SDSS J093558.42+055602.5",),
    "sdssp": (1237663531875827788,),
    "sdsss": (1237663531875827788,),
}


class _Sky:
    def __init__(self, seed: int) -> None:
        self.r = random.Random(seed)
        self.number = 0
        self.tables: dict[str, list[dict[str, Any]]] = {table: [] for table in TABLES}

    def maybe(self, value: Any, nulls: float = 0.15) -> Any:
        return None if self.r.random() < nulls else value

    def between(self, low: float, high: float, digits: int = 2) -> float:
        return round(self.r.uniform(low, high), digits)

    def redshift(self) -> float | None:
        r = self.r
        kind = r.random()
        if kind < 0.25:
            return None
        if kind < 0.33:
            return r.choice([0.0, -0.001, -0.01, -0.0005, 0.001, 0.0009, 0.00101, 1.0, 2.0, 0.1])
        low, high = r.choice([(-4, -2.5), (-2.5, -1.5), (-1.5, -0.8), (-0.8, 0.75)])
        return (
            round(10 ** r.uniform(low, high), r.choice([4, 5, 6, 7, 8]))
            if r.random() < 0.5
            else round(10 ** r.uniform(low, high), r.choice([2, 3]))
        )

    def name(self, table: str, prefix: str) -> Any:
        self.number += 1
        if table in _DENIED and self.r.random() < 0.03:
            return self.r.choice(_DENIED[table])
        if table in ("gaia", "vhpm", "ps1", "sdssp", "sdsss"):
            return 1237000000000000000 + self.number
        if table == "downes":
            return self.number
        if table == "ned":
            chance = self.r.random()
            if chance < 0.04:
                return ""
            if chance < 0.12:
                return f"SSTSL2 J{self.number}"
        return f"{prefix}{self.r.choice([' ', '  ', ''])}{self.number}{self.r.choice(['', '', '-A b'])}"

    def arcmin(self) -> float | None:
        low, high = self.r.choice([(0.01, 0.1), (0.1, 0.32), (0.34, 1.9), (2.1, 9.5), (10.5, 90), (105, 300)])
        return None if self.r.random() < 0.25 else self.between(low, high, 3)

    def row(self, table: str) -> dict[str, Any]:
        """A row without its position."""
        r, maybe, between = self.r, self.maybe, self.between
        error = r.choice([0.02, 0.05, 0.05, 0.15, 0.25, 0.3, None])
        if table == "gaia":
            return {
                "source_id": self.name(table, ""),
                "phot_g_mean_mag": maybe(between(10, 21)),
                "phot_g_mean_flux_over_error": maybe(between(5, 300), 0.1),
                "in_qso_candidates": maybe(int(r.random() < 0.2), 0.05),
                "in_galaxy_candidates": maybe(int(r.random() < 0.15), 0.05),
            }
        if table == "vhpm":
            return {"source_id": self.name(table, ""), "phot_g_mean_mag": maybe(between(8, 20)), "epoch": 2026.9}
        if table == "psc":
            quality = "".join(r.choice("AAABCDEFUX") for _ in range(3))
            return {
                **{"designation": self.name(table, "2M"), "j_m": maybe(between(8, 17)), "j_msigcom": maybe(error)},
                **{"ph_qual": maybe(quality, 0.05), "ext_key": maybe(self.number, 0.8)},
            }
        if table == "xsc":
            return {"designation": self.name(table, "2X"), "j_m_ext": maybe(between(8, 15)), "j_msig_ext": error}
        if table == "desi":
            errors = {name: maybe(r.choice([0.05, 0.15, 0.21, 0.4]), 0.3) for name in ("G", "R", "I", "Z")}
            models = {name: maybe(between(-20, 200), 0.5) for name in ("REX", "SER", "EXP", "DEV")}
            size = r.choice([between(0.2, 3, 4), between(3, 9.9, 4), between(10.1, 40, 3)])
            return {
                **{"OBJID": self.name(table, "D"), "TYPE": r.choice(["PSF", "PSF", "REX", "EXP", "DEV", "SER", None])},
                **{"MAG_R": maybe(between(15, 24))},
                **{f"MAG_{name}_ERR": value for name, value in errors.items()},
                "DCHISQ_PSF": maybe(r.choice([50.0, 5000.0, 150000.0]), 0.1),
                **{f"DCHISQ_{name}": value for name, value in models.items()},
                "SHAPE_R": maybe(size),
                "SHAPE_R_IVAR": maybe(r.choice([10.0, 100.0, 500.0, 20000.0])),
            }
        if table == "ps1":
            kron = maybe(between(0.5, 12, 4), 0.25)
            return {
                "objID": self.name(table, ""),
                "rKronRad": kron,
                "iKronRad": maybe(between(0.5, 12, 4), 0.25) if r.random() < 0.5 else kron,
                **{"rKronMag": maybe(between(14, 22)), "rKronMagErr": error, "ps_score": maybe(between(0, 1))},
            }
        if table == "sdssp":
            errors = {name: maybe(r.choice([0.02, 0.05, 0.05, 0.08, 0.12]), 0.05) for name in ("r", "g", "i")}
            return {
                **{"objID": self.name(table, ""), "type": r.choice([3, 3, 3, 6, 6, 0, None])},
                "petroMag_r": maybe(between(14, 22)),
                **{f"petroMagErr_{name}": value for name, value in errors.items()},
                **{
                    "z_": r.choice([self.redshift(), -9999.0, None, self.redshift()]),
                    "zErr": maybe(between(0, 0.1, 6)),
                },
            }
        if table == "sdsss":
            return {
                **{"qubPrimaryId": self.number, "objID": self.name(table, ""), "type": r.choice([3, 6])},
                **{"objType": r.choice(["G", "G", "Q", "S", None]), "z_": self.redshift()},
                "qubMasterFlag": maybe(int(r.random() < 0.85), 0.05),
                **{"petroMag_r": maybe(between(14, 22)), "petroMagErr_r": maybe(error)},
            }
        if table == "ned":
            return {
                **{"ned_name": self.name(table, "NGC"), "object_type": r.choice(_NED_TYPES)},
                **{"redshift": self.redshift(), "photoz": maybe(self.redshift(), 0.4)},
                "redshift_err": maybe(between(0, 0.01, 5), 0.5),
                "major_diameter_arcmin": self.arcmin(),
                "magnitude": maybe(r.choice([20.0, between(10, 20), between(15, 24)])),
            }
        if table == "nedd":
            distance = maybe(round(10 ** r.uniform(-1, 2.7), r.choice([1, 3, 5])))
            return {
                **{"primary_ned_id": self.name(table, "UGC"), "object_type": r.choice(["G", "G", "G", "GPair", None])},
                **{"master_row": maybe(int(r.random() < 0.7), 0.05), "redshift": self.redshift()},
                **{"dist_mpc_median": distance, "dist_mpc": distance, "major_diameter_arcmin": self.arcmin()},
                **{"magnitude": maybe(between(8, 23)), "galaxy_index_id": self.number, "dist_index_id": self.number},
            }
        if table == "lasr":
            return {
                **{
                    "name": self.name(table, "L"),
                    "redshift": self.redshift(),
                    "AGN": maybe(int(r.random() < 0.4), 0.05),
                },
                **{"W1_mag": maybe(between(8, 15)), "W1_err_mag": maybe(error)},
            }
        if table == "milli":
            return {
                **{"name": self.name(table, "MQ"), "type": r.choice(["Q", "QRX", "A", None]), "z": self.redshift()},
                **{"rmag": 19.0, "bmag": 19.0},
            }
        if table == "downes":
            return {"catalogue_id": self.name(table, ""), "variability_type": r.choice(["ug", "na", None])}
        return {"name": self.name(table, "RK"), "type": r.choice(["DN", "XB", None])}

    def put(self, table: str, row: dict[str, Any], ra: float, dec: float) -> None:
        ra_name, dec_name = TABLES[table][2:4]
        self.tables[table].append({**row, ra_name: ra, dec_name: dec})


def _moved(ra: float, dec: float, arcsec: float, angle: float) -> tuple[float, float]:
    """The position so far from another [deg], in the direction `angle` from north."""
    d, s = math.radians(dec), math.radians(arcsec / 3600)
    sin_dec = math.sin(d) * math.cos(s) + math.cos(d) * math.sin(s) * math.cos(angle)
    there = math.asin(max(-1.0, min(1.0, sin_dec)))
    turn = math.atan2(math.sin(angle) * math.sin(s) * math.cos(d), math.cos(s) - math.sin(d) * math.sin(there))
    return (ra + math.degrees(turn)) % 360.0, math.degrees(there)


def _reach(table: str, row: dict[str, Any]) -> float | None:
    """How far the size of a galaxy goes [arcsec], stretched."""
    if table == "desi" and row["SHAPE_R"] is not None:
        size = row["SHAPE_R"] * 2
    elif table in ("ned", "nedd") and row["major_diameter_arcmin"] is not None:
        size = row["major_diameter_arcmin"] * 60
    elif table == "ps1" and (row["rKronRad"], row["iKronRad"]) != (None, None):
        size = min(v for v in (row["rKronRad"], row["iKronRad"]) if v is not None) * 2
    else:
        return None
    return float(size * (1.25 if size < 600 else 0.875 if size < 6000 else 0.625))


def _place(r: random.Random) -> tuple[float, float]:
    kind = r.random()
    ra, dec = r.uniform(0, 360), math.degrees(math.asin(r.uniform(-1, 1)))
    if kind < 0.05:
        return ra, r.choice([-1, 1]) * r.choice([90.0, 89.9999, 89.999, 89.9, 89.0, 86.5])
    if kind < 0.10:
        return r.choice([0.0, 359.9999999, 1e-5, 359.999, 0.01, 359.0]), dec
    return ra, dec


def crowded_sites(seed: int, n: int) -> dict[str, Any]:
    """`n` sites and the sources around them, as ``lasair sherlock vectors`` takes them."""
    sky = _Sky(seed)
    r = sky.r
    sites = [_place(r) for _ in range(n)]
    names = [*TABLES, *("ned",) * 5, *("desi",) * 3, *("sdssp",) * 2, "ps1", "gaia", "psc"]
    for ra, dec in sites:
        placed: list[tuple[float, float]] = []
        exactly: set[tuple[str, float, float]] = set()
        least = r.choice([0.0, 0.0, 0.0, 1.4, 1.6, 3.1, 12.0])
        most = max(r.choice([1.2, 2.0, 4.0, 12.0, 30.0, 80.0, 350.0]), least * 2)
        tables = names if r.random() < 0.7 else r.sample(list(TABLES), r.choice([1, 2, 3]))
        for _ in range(r.choice([0, 1, 2, 3, 5, 8, 13, 25])):
            table = r.choice(tables)
            row = sky.row(table)
            reach = _reach(table, row)
            for _attempt in range(20):
                kind = r.random()
                if placed and kind < 0.45:  # a counterpart of another, or the next of a chain
                    there = r.choice(placed) if r.random() < 0.5 else placed[-1]
                    apart = r.choice([0.0, r.uniform(0, 0.3), r.uniform(0.6, 0.9), r.uniform(0.9, 1.1)])
                    there = there if apart == 0.0 else _moved(*there, apart, r.uniform(0, 2 * math.pi))
                else:
                    if reach is not None and kind < 0.75:
                        s = reach * r.uniform(0.3, 1.4)
                    elif kind < 0.85:
                        s = r.choice(_RADII[:14]) * r.uniform(0.9, 1.1)
                    else:
                        s = r.uniform(least, most)
                    there = _moved(ra, dec, s if s > least else least * r.uniform(1.0, 1.2), r.uniform(0, 2 * math.pi))
                s = separation(ra, dec, *there)
                edges = _RADII if reach is None else (*_RADII, reach)
                if any(abs(s - edge) < _MARGIN for edge in edges):
                    continue
                if any(abs(separation(*there, *other) - 1.0) < _MARGIN for other in placed):
                    continue
                if (table, *there) in exactly:
                    continue  # which of two rows of a table at one place comes first, no rule says
                exactly.add((table, *there))
                placed.append(there)
                sky.put(table, row, *there)
                if table == "nedd" and r.random() < 0.2:  # a galaxy with several published distances
                    sky.put(table, {**row, "master_row": 0, "dist_index_id": sky.number + 500000}, *there)
                break
    return {"ra": [ra for ra, _ in sites], "dec": [dec for _, dec in sites], "tables": sky.tables}
