"""Synthetic catalogues in the layouts of the 14 that the rules know, of any size, for benchmarks and demonstrations.

    for chunk in chunks("gaia", 10**8, seed=1): ...        # standard columns, as `build.build` takes them
    make_sky(folder, 2 * 10**8, seed=1, fields=VISITS)     # all 14, published in a shelf

They are samples of one made-up sky (`universe`): a star is in Gaia, Pan-STARRS, 2MASS ... at the same place but for
the errors and epochs of each, so that matches, mergers and classes come in realistic proportions. Counts, footprints,
depths and views follow the real catalogues; single values follow plain distributions and describe no real source.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lasair.catalogues.build import build
from lasair.catalogues.describe import load_description
from lasair.catalogues.manifest import ReleaseInfo
from lasair.catalogues.problems import BadRows
from lasair.catalogues.shelf import Shelf
from lasair.catalogues.universe import (
    POPULATIONS,
    TILE_ORDER,
    TILES,
    Field,
    Sources,
    Universe,
    designations,
    galactic_latitude,
    tile_degrees,
)

Floats = NDArray[np.float64]
Columns = dict[str, Any]
Progress = Callable[[str, str, int, int | None], None]

#: Of a chunk; a single tile may have more.
CHUNK_ROWS = 250_000

#: Tiles come in blocks of this order, one block after the other at random over the sky, as files of a survey do.
_BLOCK_ORDER = 4

#: Share of all rows that the catalogues of rare sources may take when the sky is thinned.
_RARE_SHARE = 0.02

#: Ten fields as wide as an exposure of LSST. The last two lie in the Galactic plane.
VISITS = tuple(
    Field(ra, decl, 1.75)
    for ra, decl in (
        *((150.1, 2.2), (53.1, -28.1), (35.7, -4.8), (9.5, -44.0), (201.0, 12.0), (230.0, 30.0), (340.0, -15.0)),
        *((120.0, -25.0), (270.5, -28.5), (285.0, 3.0)),
    )
)

#: Magnitude at which there are 10**x stars on the whole sky, as Gaia counts them in G.
_STAR_COUNTS = ((-0.5, -1.4), (1.6, 2.0), (3.8, 6.0), (5.7, 10.0), (7.05, 13.0), (8.3, 17.0), (9.26, 21.0), (9.6, 22.4))

#: Redshift-independent constants of the distances below: H0 [km/s/Mpc] and c [km/s].
_HUBBLE, _LIGHT = 70.0, 299792.458

#: numbers of the random values of a source, see `Sources.uniform`
_PM, _PM_ANGLE, _COLOUR, _KIND, _LUMINOSITY, _SHAPE, _KNOWN, _PHOTO, _NOISE = range(20, 29)


class Part(NamedTuple):
    """What a catalogue has of one population: so many rows of the real one."""

    population: str
    rows: float


class Layout(NamedTuple):
    """A catalogue: its parts, where it looks, its errors, and how its columns are made."""

    parts: tuple[Part, ...]
    columns: Callable[[Sources], Columns]
    #: error of a coordinate [arcsec], Julian year of the observations
    error_arcsec: float
    epoch: float
    footprint: str = "sky"
    #: only stars that move faster than this [mas/yr]
    fastest: float | None = None


@dataclass(frozen=True)
class Thinning:
    """What part of each population is left outside the fields."""

    common: float
    rare: float

    def of(self, population: str) -> float:
        """The part of one population."""
        return self.rare if POPULATIONS[population].rare else self.common


class SyntheticSky:
    """All catalogues of one made-up sky.

    Parameters
    ----------
    universe : what there is
    thinning : outside the fields
    """

    def __init__(self, universe: Universe, thinning: Thinning) -> None:
        self.universe, self.thinning = universe, thinning
        self._kept = {name: np.where(universe.in_field, 1.0, thinning.of(name)) for name in POPULATIONS}
        blocks = np.random.default_rng(int(universe.seed)).permutation(12 * 4**_BLOCK_ORDER)
        inside = 4 ** (TILE_ORDER - _BLOCK_ORDER)
        self._tiles = (blocks[:, None] * inside + np.arange(inside)).ravel()

    @classmethod
    def of_rows(cls, rows: int, seed: int, fields: Sequence[Field] = ()) -> SyntheticSky:
        """About `rows` in all 14 outside the fields; these come on top, as dense as the real ones."""
        rare = sum(part.rows for one in LAYOUTS.values() for part in one.parts if POPULATIONS[part.population].rare)
        total = sum(part.rows for one in LAYOUTS.values() for part in one.parts if one.fastest is None)
        kept = min(1.0, _RARE_SHARE * rows / rare)
        common = min(1.0, max(rows - kept * rare, 0.0) / (total - rare))
        return cls(Universe(seed, fields), Thinning(common, max(kept, common)))

    def share(self, catalogue: str, part: Part) -> Floats:
        """Part of a population that a catalogue sees, in every tile (TILES,), before thinning."""
        inside = footprint(LAYOUTS[catalogue].footprint)
        seen = float(self.universe.density[part.population][inside].sum())
        return np.asarray(np.where(inside, part.rows / seen, 0.0))

    def counts(self, catalogue: str) -> list[NDArray[np.int64]]:
        """Rows of every part of a catalogue in every tile; of a selection of fast stars, those it is made from."""
        return [
            self.universe.counts(part.population, self.share(catalogue, part) * self._kept[part.population])
            for part in LAYOUTS[catalogue].parts
        ]

    def chunks(self, catalogue: str, chunk_rows: int = CHUNK_ROWS) -> Iterator[Columns]:
        """All rows of a catalogue, some tiles at a time."""
        layout = LAYOUTS[catalogue]
        counts = [some[self._tiles] for some in self.counts(catalogue)]
        total = np.cumsum(np.sum(counts, axis=0))
        start, done = 0, 0
        while done < total[-1]:
            end = max(int(np.searchsorted(total, done + chunk_rows, side="right")), start + 1)
            made = [
                self._rows(layout, catalogue, part, self._tiles[start:end], some[start:end])
                for part, some in zip(layout.parts, counts, strict=True)
                if some[start:end].any()
            ]
            if any(len(one["ra"]) for one in made):
                yield _joined(made)
            start, done = end, int(total[end - 1])

    def _rows(
        self, layout: Layout, catalogue: str, part: Part, tiles: NDArray[np.int64], counts: NDArray[np.int64]
    ) -> Columns:
        sources = self.universe.sources(part.population, tiles, counts, self._kept[part.population][tiles])
        if layout.fastest is not None:
            sources = sources.take(_speed(sources) > layout.fastest)
        rows = layout.columns(sources)
        moving = part.population == "stars"
        rows["ra"], rows["decl"] = self.universe.places(
            sources,
            survey=list(LAYOUTS).index("gaia" if layout.fastest is not None else catalogue),
            error_arcsec=layout.error_arcsec,
            years=layout.epoch - 2016.0,
            motion=_motion(sources) if moving else None,
        )
        if callable(rows.get("id")):
            rows["id"] = rows["id"](rows["ra"], rows["decl"])
        views = load_description(catalogue).views
        bits = np.zeros(len(sources), np.uint32)
        for bit, view in enumerate(views):
            inside = rows.pop(f"in {view}")
            bits |= np.where(inside, np.uint32(1 << bit), np.uint32(0))
        return rows | {"views": bits}


def chunks(
    catalogue: str, n: int, seed: int, fields: Sequence[Field] = (), *, chunk_rows: int = CHUNK_ROWS
) -> Iterator[Columns]:
    """About `n` rows of a catalogue (to a part in a thousand when they are many), and those of the fields on top.

    Parameters
    ----------
    catalogue : a name in `LAYOUTS`
    seed : of the sky; the same one gives the same rows, whatever the size of the chunks
    fields : places that are filled at production density

    Raises
    ------
    BadRows
        There is no such layout.
    """
    if catalogue not in LAYOUTS:
        raise BadRows(f"no synthetic catalogue {catalogue!r}; there are: {', '.join(LAYOUTS)}")
    layout = LAYOUTS[catalogue]
    rows = sum(part.rows for part in layout.parts)
    if layout.fastest is not None:
        rows *= float(_fraction_faster(layout.fastest))
    kept = n / rows
    return SyntheticSky(Universe(seed, fields), Thinning(kept, kept)).chunks(catalogue, chunk_rows)


class Made(NamedTuple):
    """A catalogue that was made, and the time it took [s] in all and of the processor."""

    info: ReleaseInfo
    wall_s: float
    cpu_s: float


def make_sky(
    folder: Path,
    rows: int,
    seed: int = 1,
    fields: Sequence[Field] = (),
    *,
    catalogues: Sequence[str] | None = None,
    memory_bytes: int = 500_000_000,
    progress: Progress | None = None,
) -> list[Made]:
    """Publish synthetic catalogues of one sky into a shelf.

    Parameters
    ----------
    folder : of the catalogues; those that it has a release of are switched to the new one
    rows : in all 14 together outside the fields, 60 to 70 bytes each on disk
    fields : places at production density, on top of `rows`
    catalogues : only these of the 14
    memory_bytes : for rows at a time, see `build.build`
    progress : called with the catalogue, the stage ('read', 'write'), rows done and rows in all, when known
    """
    sky = SyntheticSky.of_rows(rows, seed, fields)
    shelf = Shelf.open(folder)
    made = []
    for name in catalogues or LAYOUTS:
        made.append(publish(shelf, name, sky, memory_bytes=memory_bytes, progress=progress))
    shelf.close()
    return made


def publish(
    shelf: Shelf, name: str, sky: SyntheticSky, *, memory_bytes: int = 500_000_000, progress: Progress | None = None
) -> Made:
    """Build one catalogue of a made-up sky and make it current."""
    described = load_description(name)
    told = None if progress is None else lambda stage, done, of: progress(name, stage, done, of)
    wall, cpu = time.perf_counter(), time.process_time()
    with shelf.staging(name) as staged:
        build(
            staged,
            sky.chunks(name),
            name=name,
            title=f"{described.title} (synthetic)",
            version=f"synthetic-{int(sky.universe.seed)}",
            views=list(described.views),
            sparse_views=described.sparse_views,
            about={
                "text": "Made up by a program: nothing in it is on the sky.",
                "epoch": LAYOUTS[name].epoch,
                "fields": [list(field) for field in sky.universe.fields],
            },
            coverage=described.footprint(),
            dtypes=described.dtypes(),
            memory_bytes=memory_bytes,
            progress=told,
        )
        info = shelf.publish(staged)
    shelf.switch(name, info.release)
    return Made(info, time.perf_counter() - wall, time.process_time() - cpu)


def footprint(name: str) -> NDArray[np.bool_]:
    """Which tiles a survey covers, (TILES,)."""
    ra, decl = tile_degrees()
    off = np.abs(galactic_latitude())
    if name == "north":
        return np.asarray(decl > -30.0)
    if name == "legacy":
        return np.asarray((off > 18.0) & (decl > -68.0) & (decl < 84.0))
    if name == "sdss":
        cap = (off > 25.0) & (decl > -4.0) & (decl < 68.0) & (ra > 110.0) & (ra < 262.0)
        return np.asarray(cap | ((off > 25.0) & (decl > -11.0) & (decl < 36.0) & ((ra > 318.0) | (ra < 42.0))))
    return np.ones(TILES, np.bool_)


def _joined(parts: Sequence[Mapping[str, Any]]) -> Columns:
    """Rows of several populations together; those of no use to a population are missing in it."""
    if len(parts) == 1:
        return dict(parts[0])
    out: Columns = {}
    for key in dict.fromkeys(key for part in parts for key in part):
        blank = b"" if key == "subtype" else np.nan
        out[key] = np.concatenate([part[key] if key in part else np.full(len(part["ra"]), blank) for part in parts])
    return out


# ------------------------------------------------------------------------------------------------ what sources are


def _brightness(sources: Sources) -> Floats:
    """Magnitude of each source, (k,): G of stars, r of all others; fainter with rank as real counts are."""
    name = sources.population.name
    if name in ("stars", "binaries"):
        number = np.log10(sources.rank * POPULATIONS["stars"].rows)
        found = np.interp(number, [x for x, _ in _STAR_COUNTS], [m for _, m in _STAR_COUNTS])
        return np.asarray(found if name == "stars" else np.clip(found - 2.0, 9.0, 20.5))
    if name == "nearby":  # counts of a Euclidean space
        return np.asarray(15.0 + np.log10(sources.rank) / 0.6)
    if name == "galaxies":
        first = 10.0 ** (0.42 * (15.0 - 23.8))
        return np.asarray(23.8 + np.log10(first + (1.0 - first) * sources.rank) / 0.42)
    return np.asarray(21.5 + np.log10(np.maximum(sources.rank, 1e-7)) / 0.75)


def _bands(sources: Sources, bands: Mapping[str, tuple[float, float]], *, errors: bool = True) -> Columns:
    """Magnitudes in bands: name -> (mean colour to `_brightness`, magnitude at which the error is 0.1)."""
    base = _brightness(sources)
    tint = sources.normal(_COLOUR)
    out: Columns = {}
    for i, (band, (colour, depth)) in enumerate(bands.items()):
        true = base + colour + 0.15 * colour * tint
        error = 0.004 + 0.1 * 10.0 ** (0.36 * (true - depth))
        # too faint to be seen in this band
        seen = error < 0.7
        out[band] = np.where(seen, true + np.minimum(error, 0.5) * sources.normal(_NOISE + 1 + i), np.nan)
        if errors:
            out[f"{band}Err"] = np.where(seen, error, np.nan)
    return {band: values.astype(np.float32) for band, values in out.items()}


def _speed(sources: Sources) -> Floats:
    """Proper motion [mas/yr], (k,): a power law from 3 on, so that one in two thousand has more than 100."""
    return np.asarray(np.minimum(3.0 * sources.uniform(_PM) ** (-1.0 / 2.17), 10_400.0))


def _fraction_faster(limit: float) -> float:
    return float((3.0 / limit) ** 2.17)


def _motion(sources: Sources) -> tuple[Floats, Floats]:
    speed, angle = _speed(sources), 2.0 * np.pi * sources.uniform(_PM_ANGLE)
    return speed * np.cos(angle), speed * np.sin(angle)


def _galaxy(sources: Sources) -> tuple[Floats, Floats, Floats]:
    """Redshift, distance [Mpc] and full diameter [arcsec] of galaxies, from their brightness: three (k,)."""
    luminosity = -20.5 + 0.9 * sources.normal(_LUMINOSITY)
    distance = np.clip(10.0 ** ((_brightness(sources) - luminosity - 25.0) / 5.0), 0.6, 2e4)
    # d = c z / H0 (1 + 0.775 z) for a deceleration of -0.55
    z = (np.sqrt(1.0 + 3.1 * distance * _HUBBLE / _LIGHT) - 1.0) / 1.55
    across_kpc = 22.0 * 10.0 ** (-0.2 * (luminosity + 20.5) + 0.12 * sources.normal(_SHAPE))
    angular = distance / (1.0 + z) ** 2
    return z, distance, np.clip(across_kpc / angular * 206.265, 0.4, 11_000.0)


def _quasar_redshift(sources: Sources) -> Floats:
    return np.asarray(0.02 - 0.75 * np.log(sources.uniform(_LUMINOSITY) * sources.uniform(_SHAPE)))


def _numbers(sources: Sources, survey: int) -> NDArray[np.int64]:
    """Ids that are whole numbers: survey, population, tile and number."""
    population = list(POPULATIONS).index(sources.population.name)
    return np.asarray((survey << 59) | (population << 56) | (sources.tile << 36) | sources.number)


def _names(prefix: str, *, dots: bool = True) -> Callable[[Floats, Floats], NDArray[np.bytes_]]:
    """Ids that are names made of the position."""

    def named(ra: Floats, decl: Floats) -> NDArray[np.bytes_]:
        letters = designations(ra, decl, np.frombuffer(prefix.encode(), np.uint8), dots)
        return np.asarray(letters.view(f"S{letters.shape[1]}").reshape(len(ra)))

    return named


def _none(sources: Sources) -> NDArray[np.bool_]:
    return np.zeros(len(sources), np.bool_)


def _all(sources: Sources) -> NDArray[np.bool_]:
    return np.ones(len(sources), np.bool_)


def _is_point(sources: Sources) -> bool:
    return sources.population.name in ("stars", "quasars", "binaries")


def _picked(sources: Sources, kinds: Sequence[tuple[str, float]]) -> NDArray[np.bytes_]:
    """A kind for each source by the weights of kinds, (k,)."""
    weights = np.cumsum([weight for _, weight in kinds])
    which = np.searchsorted(weights / weights[-1], sources.uniform(_KIND), side="right")
    return np.array([kind.encode() for kind, _ in kinds])[np.minimum(which, len(kinds) - 1)]


# ------------------------------------------------------------------------------------------------ the 14 layouts


def _gaia(sources: Sources) -> Columns:
    pm_ra, pm_decl = _motion(sources) if sources.population.name == "stars" else (None, None)
    bright = _brightness(sources)
    quasar = _all(sources) if sources.population.name == "quasars" else _none(sources)
    rows: Columns = {
        "id": _numbers(sources, 1),
        "G": bright.astype(np.float32),
        "in star": ~quasar & (bright < 21.1 + 0.2 * sources.normal(_NOISE)),
        "in bright_star": ~quasar & (bright < 17.0),
        "in qso": quasar,
        "in high_pm": _none(sources),
    }
    if pm_ra is not None and pm_decl is not None:
        rows |= {
            "pm_ra": pm_ra.astype(np.float32),
            "pm_decl": pm_decl.astype(np.float32),
            "in high_pm": _speed(sources) > 100.0,
        }
    return rows


def _gaia_hpm(sources: Sources) -> Columns:
    rows = _gaia(sources)
    del rows["in qso"], rows["in high_pm"]
    return rows | {"in all": _all(sources)}


def _ps1(sources: Sources) -> Columns:
    rows = _bands(sources, {"_g": (0.5, 22.2), "_r": (0.0, 22.0), "_i": (-0.3, 21.8), "_z": (-0.45, 21.0),
                            "_y": (-0.55, 20.2)})  # fmt: skip
    point = _is_point(sources)
    # faint sources have no score; of the others one in fifty is taken for the wrong kind
    faint = _brightness(sources) + 0.5 * sources.normal(_NOISE) > (20.2 if point else 22.3)
    star = (sources.uniform(_KIND) > 0.02) == point
    if point:
        size = 2.4 * np.exp(0.2 * sources.normal(_SHAPE))
    else:
        size = np.clip(0.9 * _galaxy(sources)[2] + 1.5, 1.0, 120.0)
    return rows | {
        "id": _numbers(sources, 2),
        "size_arcsec": np.where(faint & (sources.uniform(_KNOWN) < 0.6), np.nan, size),
        "in unclear": faint,
        "in star": ~faint & star,
        "in galaxy": ~faint & ~star,
    }


def _legacy(sources: Sources) -> Columns:
    rows = _bands(
        sources,
        {"_g": (0.5, 24.0), "_r": (0.0, 23.5), "_i": (-0.3, 23.0), "_z": (-0.45, 22.7),
         "W1": (-1.5, 20.0), "W2": (-1.4, 19.2), "W3": (-3.5, 16.0), "W4": (-5.0, 14.0)},
    )  # fmt: skip
    psf = _is_point(sources)
    vague = _brightness(sources) + 0.3 * sources.normal(_NOISE) > (23.0 if psf else 23.2)
    if psf:
        kind = np.full(len(sources), b"PSF")
        radius = np.full(len(sources), np.nan)
    else:
        # the faintest galaxies look like points
        lost = vague & (sources.uniform(_KNOWN) < 0.4)
        kind = np.where(lost, b"PSF", _picked(sources, (("REX", 50), ("EXP", 27), ("DEV", 13), ("SER", 10))))
        radius = np.where(lost, np.nan, 0.25 * _galaxy(sources)[2])
    extended = kind != b"PSF"
    return rows | {
        "id": _numbers(sources, 3),
        "subtype": kind,
        "size_arcsec": (2.0 * radius).astype(np.float32),
        "in unclear": vague,
        "in star": ~extended & ~vague,
        "in galaxy": extended & ~vague & (radius < 10.0),
        "in big_galaxy": extended & ~vague & (radius >= 10.0),
    }


def _sdss_bands(sources: Sources) -> Columns:
    return _bands(sources, {"_u": (1.6, 22.0), "_g": (0.5, 23.6), "_r": (0.0, 23.0), "_i": (-0.3, 22.6),
                            "_z": (-0.45, 20.3)})  # fmt: skip


def _sdss_photo(sources: Sources) -> Columns:
    rows = _sdss_bands(sources)
    point = _is_point(sources)
    sure = (rows["_gErr"] < 0.1) & (rows["_rErr"] < 0.1) & (rows["_iErr"] < 0.1)
    rows |= {
        "id": _numbers(sources, 4),
        "subtype": np.full(len(sources), b"6" if point else b"3"),
        "in unclear": ~sure,
        "in star": sure & point,
        "in galaxy": sure & (not point),
    }
    if not point:
        error = 0.02 + 0.05 * sources.uniform(_PHOTO)
        z = np.maximum(_galaxy(sources)[0] + error * sources.normal(_PHOTO), 0.002)
        rows |= {"photo_z": z.astype(np.float32), "photo_z_err": error.astype(np.float32)}
    return rows


def _sdss_spec(sources: Sources) -> Columns:
    quasar = sources.population.name == "quasars"
    z = _quasar_redshift(sources) if quasar else _galaxy(sources)[0]
    # a tenth are second spectra of the same source
    first = (sources.uniform(_KNOWN) < 0.9) & (z > 0.001)
    return _sdss_bands(sources) | {
        "id": _numbers(sources, 4),
        "subtype": np.full(len(sources), b"6" if quasar else b"3"),
        "z": z.astype(np.float32),
        "in galaxy": first & (not quasar),
        "in qso": first & quasar,
    }


def _twomass_psc(sources: Sources) -> Columns:
    rows = _bands(sources, {"J": (-1.3, 17.0), "H": (-1.9, 16.3), "K": (-2.1, 15.8)})
    good = np.sum([np.nan_to_num(rows[f"{band}Err"], nan=1.0) < 0.11 for band in "JHK"], axis=0) >= 2
    return rows | {"id": _names("", dots=False), "in unclear": ~good, "in star": good}


def _twomass_xsc(sources: Sources) -> Columns:
    rows = _bands(sources, {"J": (-1.8, 15.2), "H": (-2.5, 14.6), "K": (-2.8, 14.3)})
    return rows | {"id": _names("", dots=False), "in all": _all(sources)}


def _ned(sources: Sources) -> Columns:
    name = sources.population.name
    known = sources.uniform(_KNOWN)
    rows: Columns = {"id": _names("WISEA J")}
    if name == "stars":
        kind = _picked(sources, (("*", 15), ("IrS", 5), ("UvS", 3), ("RadioS", 65), ("XrayS", 12)))
        z = size = photo = np.full(len(sources), np.nan)
    elif name == "quasars":
        kind = np.full(len(sources), b"QSO")
        z, size, photo = _quasar_redshift(sources), np.full(len(sources), np.nan), np.full(len(sources), np.nan)
    else:
        shares = [("G", 38.3), ("IrS", 8.0), ("UvS", 3.0), ("VisS", 1.5), ("GGroup", 0.1), ("GClstr", 0.2)]
        shares += [("RadioS", 45.0), ("XrayS", 12.0), ("GammaS", 0.2)]
        kind = _picked(sources, shares) if name == "galaxies" else np.full(len(sources), b"G")
        true, _, diameter = _galaxy(sources)
        share = 0.95 if name == "nearby" else 0.08
        z = np.where(known < share, true, np.nan)
        photo = np.where((known > 0.5) & (known < 0.8), np.abs(true + 0.03 * sources.normal(_PHOTO)), np.nan)
        size = np.where(sources.uniform(_PHOTO) < (0.95 if name == "nearby" else 0.4), diameter, np.nan)
    galaxy = (kind == b"G") & ~(z <= 0.001)
    like = np.isin(kind, [b"IrS", b"UvS", b"VisS", b"GGroup", b"GClstr"])
    magnitude = _brightness(sources) + 0.3 * sources.normal(_NOISE)
    return rows | {
        "subtype": kind,
        "z": z,
        "photo_z": photo,
        "size_arcsec": size,
        "unkMag": np.where(sources.uniform(_NOISE) < 0.8, magnitude, np.nan).astype(np.float32),
        "in unclear": np.isin(kind, [b"RadioS", b"XrayS", b"GammaS"]),
        "in galaxy": galaxy,
        "in big_galaxy": galaxy & (size >= 20.0),
        "in super_big_galaxy": galaxy & (size >= 120.0),
        "in galaxy_like": like,
        "in qso": kind == b"QSO",
    }


def _ned_d(sources: Sources) -> Columns:
    z, distance, size = _galaxy(sources)
    # 147,365 galaxies have 272,635 distances: the galaxy is in the view once
    return {
        "id": _names("NGC J"),
        "subtype": np.full(len(sources), b"G"),
        "z": np.where(sources.uniform(_KNOWN) < 0.9, z, np.nan),
        "distance_mpc": distance * 10.0 ** (0.08 * sources.normal(_PHOTO)),
        "size_arcsec": np.where(sources.uniform(_NOISE) < 0.9, size, np.nan),
        "unkMag": _brightness(sources).astype(np.float32),
        "in galaxy": sources.uniform(_KIND) < 0.54,
        "in big_galaxy": size >= 20.0,
        "in super_big_galaxy": size >= 120.0,
    }


def _lasr(sources: Sources) -> Columns:
    active = sources.uniform(_KIND) < 0.087
    # galaxies within 100 Mpc
    z = np.minimum(_galaxy(sources)[0], 0.0222)
    return _bands(sources, {"W1": (-2.5, 17.0)}) | {
        "id": _names("LASr J"),
        "subtype": np.where(active, b"1", b"0"),
        "z": z,
        "in galaxy": ~active,
        "in agn": active,
    }


def _milliquas(sources: Sources) -> Columns:
    return {
        "id": _names("SDSS J"),
        "subtype": _picked(sources, (("Q", 88), ("A", 5), ("QR", 4), ("QX", 2), ("B", 1))),
        "z": _quasar_redshift(sources).astype(np.float32),
        "in all": _all(sources),
    }


def _downes(sources: Sources) -> Columns:
    kind = _picked(sources, (("ug", 35), ("ugsu", 20), ("na", 20), ("am", 10), ("cv", 15)))
    return {"id": _numbers(sources, 0), "subtype": kind, "in all": _all(sources)}


def _ritter(sources: Sources) -> Columns:
    kind = _picked(sources, (("DN", 45), ("NL", 25), ("AM", 12), ("IP", 8), ("XB", 10)))
    return {"id": _names("CV J"), "subtype": kind, "in all": _all(sources)}


#: Rows of the real catalogues by population; together those of the real table, to a few per cent.
LAYOUTS = {
    "ps1": Layout(
        (Part("stars", 1.36e9), Part("galaxies", 1.48e9), Part("nearby", 1.1e6), Part("quasars", 5e6)),
        _ps1, 0.03, 2012.5, "north",
    ),
    "legacy": Layout(
        (Part("stars", 6.0e8), Part("galaxies", 2.09e9), Part("nearby", 0.9e6), Part("quasars", 5e6)),
        _legacy, 0.02, 2017.0, "legacy",
    ),
    "gaia": Layout((Part("stars", 1.804e9), Part("quasars", 6.65e6), Part("binaries", 2e3)), _gaia, 0.0005, 2016.0),
    "gaia_hpm": Layout((Part("stars", 1.804e9),), _gaia_hpm, 0.0005, 2016.0, fastest=100.0),
    "sdss_photo": Layout(
        (Part("stars", 2.0e8), Part("galaxies", 2.7e8), Part("nearby", 0.6e6), Part("quasars", 2e6)),
        _sdss_photo, 0.06, 2004.0, "sdss",
    ),
    "sdss_spec": Layout(
        (Part("galaxies", 2.0e6), Part("nearby", 0.55e6), Part("quasars", 0.5e6)), _sdss_spec, 0.1, 2008.0, "sdss"
    ),
    "twomass_psc": Layout((Part("stars", 4.71e8),), _twomass_psc, 0.08, 1999.5),
    "twomass_xsc": Layout((Part("nearby", 1.6476e6),), _twomass_xsc, 0.3, 1999.5),
    "ned": Layout(
        (Part("galaxies", 9.5e7), Part("stars", 5.4e7), Part("nearby", 1.5e6), Part("quasars", 9.2e4)),
        _ned, 0.3, 2000.0,
    ),
    "ned_d": Layout((Part("nearby", 2.726e5),), _ned_d, 0.3, 2000.0),
    "lasr": Layout((Part("nearby", 4.9546e4),), _lasr, 0.3, 2000.0),
    "milliquas": Layout((Part("quasars", 1.0218e6),), _milliquas, 0.15, 2000.0),
    "downes": Layout((Part("binaries", 1.83e3),), _downes, 0.4, 2000.0),
    "ritter": Layout((Part("binaries", 1.721e3),), _ritter, 0.4, 2000.0),
}  # fmt: skip
