"""ZTF packets: columns of the survey's records from measurements, and packets joined from encoded records."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from lasair.packets.ids import unpack_ztf
from lasair.schema.avsc import writer_schema
from lasair.schema.model import INT_MISSING
from lasair.simulate import faults, lightcurves, orbits, sky
from lasair.simulate.detect import Plan, Seen, measured_position, see
from lasair.simulate.encode import (
    Column,
    Joiner,
    RecordEncoder,
    Records,
    Texts,
    array_bytes,
    container_header,
    long_bytes,
    record_schema,
    sync_marker,
    text_bytes,
)
from lasair.simulate.images import Artist, Scenes, fits_image, gzip_file
from lasair.simulate.lsst import Columns, _truth_of, take
from lasair.simulate.messages import SimMessage, Truth
from lasair.simulate.visits import PIXEL_ARCSEC, WAVELENGTH_NM, offset_position, offsets_from, yyyymmdd, ztf_night_id
from lasair.times import mjd_tai_to_jd_utc

_AT_ONCE = 256
_HISTORY_D = 30.0
_LETTERS_7 = 26**7
_DRAW_CONTENT = frozenset(
    (
        "future_time",
        "bad_position",
        "spelling",
        "closed_programme",
        "huge_cutout",
        "large_cutout",
        "broken_cutout",
        "empty_cutout",
    )
)
_HUGE_SIDE = 1600
_NONE = -999.0
_FAILED = -99999.0
_VERSION = "4.02"


class ZtfRun:
    """One plan's ZTF packets, as `lsst.LsstRun`."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.seen: Seen = see(plan)
        schema = writer_schema("ztf", _VERSION)
        self.sync = sync_marker("ztf", plan.name, plan.seed)
        self.header = container_header(schema, self.sync)
        self.joiner = Joiner(schema)
        self.cutout = Joiner(record_schema(schema, "cutout"))
        self._candidate = RecordEncoder(record_schema(schema, "candidate"))
        self._measure()
        self._choose()
        self.rows = RecordEncoder(record_schema(schema, "prv_candidate")).encode(len(self.seen.pairs), self.columns)
        self.forced_rows = self._encode_forced(RecordEncoder(record_schema(schema, "fp_hist")))
        self.candidates = self._candidate.encode(self.alerts, self.candidate_columns)

    @property
    def alerts(self) -> int:
        """How many alerts there are (before copies)."""
        return len(self.alert_pair)

    def _measure(self) -> None:
        plan, pairs = self.plan, self.seen.pairs
        visits, objects = plan.visits, pairs.objects
        rng = plan.rng(3)
        n = len(pairs)
        visit, obj, detected = pairs.visit, pairs.obj, pairs.detected
        self.jd = mjd_tai_to_jd_utc(visits.mjd)
        jd = self.jd[visit]
        night = ztf_night_id(visits)[visit]
        # the fifth decimal of the day, the readout channel and the catalogue's kind, as in the survey's own numbers
        fraction = np.floor((jd + 0.5) % 1.0 * 1e5).astype(np.int64)
        self.pid = night * 10**9 + fraction * 10**4 + pairs.detector * 100 + 15
        rank = np.zeros(n, np.int64)
        order = np.argsort(self.pid, kind="stable")
        order = order[detected[order]]
        same = np.searchsorted(self.pid[order], self.pid[order])
        rank[order] = np.arange(len(order)) - same
        self.candid = np.where(detected, self.pid * 10**6 + 10_000 + rank, INT_MISSING)
        self.ra, self.decl, _ = measured_position(plan, pairs, rng)
        self.ra, self.decl = np.round(self.ra, 7) % 360.0, np.round(self.decl, 7)
        self._names(rng)
        self._neighbours(rng)
        self.zero_point = 26.2 + 0.1 * rng.standard_normal(len(visits))
        self.columns = self._row_columns(jd, night, rng)
        starts = pairs.starts()
        self.starts = starts
        seen = np.cumsum(detected)
        self.before = seen - detected
        first = np.full(len(objects), np.iinfo(np.int64).max)
        np.minimum.at(first, obj[detected], visits.day[visit[detected]])
        # forced photometry is made from the day after the first detection, and where the survey has got to it
        served = plan.rng(7).random(len(objects)) < plan.forced_share
        forced = (visits.day[visit] > first[obj]) & served[obj]
        self.forced = np.flatnonzero(forced)
        self.forced_before = np.concatenate(([0], np.cumsum(forced)))

    def _names(self, rng: np.random.Generator) -> None:
        """objectIds: the year of the first detection, seven letters that count on from a place of the run's own."""
        plan, objects = self.plan, self.seen.pairs.objects
        old = np.isin(objects.kind, (*sky.STARS, sky.AGN))
        this_year = int(yyyymmdd(plan.visits.day[:1])[0]) // 10_000 - 2000
        year = np.where(old, rng.integers(18, this_year, len(objects)), this_year)
        # 26^7 is nearly 2^33: 512 runs of 1024 plans of 8192 objects
        run = zlib.crc32(f"{plan.name} {plan.seed}".encode()) & 0x1FF
        number = (run << 23) + (plan.number << 13) + np.arange(len(objects))
        self.names = unpack_ztf(year * _LETTERS_7 + number % _LETTERS_7 + 1)
        #: detections and visits before our time
        self.old_detections = np.where(old, rng.integers(5, 400, len(objects)), 0)
        self.old_visits = rng.integers(200, 1500, len(objects)) + self.old_detections
        self.old_start = 2458200.5 + rng.uniform(0.0, 300.0, len(objects))

    def _neighbours(self, rng: np.random.Generator) -> None:
        """What the reference image has nearest to each object: star, host, or something unrelated far off."""
        objects = self.seen.pairs.objects
        n = len(objects)
        star = np.isin(objects.kind, sky.STARS)
        hosted = objects.has_host & ((objects.host_mag < 22.5) | (objects.kind == sky.AGN))
        direction = rng.uniform(0.0, 2 * np.pi, n)
        distance = np.where(star, np.abs(rng.normal(0.0, 0.25, n)), rng.uniform(3.0, 20.0, n))
        east, north = offsets_from(objects.ra, objects.decl, objects.host_ra, objects.host_decl)
        with np.errstate(invalid="ignore"):
            to_host = np.hypot(east, north) * 3600.0
        distance = np.where(hosted, np.nan_to_num(to_host) + np.abs(rng.normal(0.0, 0.1, n)), distance)
        direction = np.where(hosted, np.arctan2(np.nan_to_num(north), np.nan_to_num(east)), direction)
        self.near_arcsec = distance
        self.near_ra, self.near_decl = offset_position(
            objects.ra, objects.decl, distance / 3600.0 * np.cos(direction), distance / 3600.0 * np.sin(direction)
        )
        random = rng.uniform(18.0, 22.0, n)
        self.near_mag = np.where(star, objects.mag, np.where(hosted, np.clip(objects.host_mag, 12.0, 22.4), random))
        self.near_is_star = np.where(star | hosted, objects.star_score, rng.beta(0.5, 0.5, n))
        self.near_temperature = np.where(hosted, 5500.0, objects.temperature)
        self.ps1_known = star | hosted | (rng.random(n) < 0.7)

    def _row_columns(self, jd: NDArray[np.float64], night: NDArray[np.int64], rng: np.random.Generator) -> Columns:
        """Columns that detections of candidate and prv_candidates share, a row a pair; upper limits have few of them."""
        plan, pairs = self.plan, self.seen.pairs
        visits, visit, obj = plan.visits, pairs.visit, pairs.obj
        n, hit = len(pairs), pairs.detected
        band = visits.band[visit]
        seeing = visits.seeing[visit]
        depth = visits.depth[visit]

        def shown(values: NDArray[np.float64] | float) -> NDArray[np.float64]:
            return np.where(hit, values, np.nan)

        def normal(scale: float = 1.0, mean: float = 0.0) -> NDArray[np.float64]:
            return mean + scale * rng.standard_normal(n)

        mag = lightcurves.mag_of(np.abs(pairs.flux))
        sigma = 1.0857 / pairs.snr
        bogus = pairs.objects.kind[obj] == sky.BOGUS
        colour = -2.5 * np.log10(lightcurves.colour(band, self.near_temperature[obj]))
        magnr = self.near_mag[obj] + colour
        field = plan.fields.number[visits.field[visit]]
        name, of_image = np.unique(np.stack((visit, pairs.detector), axis=1), axis=0, return_inverse=True)
        dates = yyyymmdd(visits.day)
        fractions = np.floor((self.jd + 0.5) % 1.0 * 1e6).astype(np.int64)
        files = [
            f"ztf_{dates[v]}{fractions[v]:06d}_{plan.fields.number[visits.field[v]]:06d}_z{'ugrizy'[visits.band[v]]}"
            f"_c{rc // 4 + 1:02d}_o_q{rc % 4 + 1}_scimrefdiffimg.fits"
            for v, rc in name.tolist()
        ]
        sign = np.where(hit, np.where(pairs.flux > 0, 0, 1), -1)
        fwhm = seeing * np.exp(normal(0.1)) / PIXEL_ARCSEC["ztf"] * np.where(bogus, 0.7, 1.0)
        elong = 1.0 + np.abs(normal(0.12)) + np.where(bogus, np.abs(normal(0.4)), 0.0)
        magdiff = np.clip(normal(0.05), -0.3, 0.3) + np.where(bogus, normal(0.2), 0.0)
        minor = fwhm / 2.3548
        edge = np.minimum.reduce((pairs.x, pairs.y, 3072.0 - pairs.x, 3080.0 - pairs.y))
        return {
            "jd": jd,
            "fid": band,  # g, r, i are 1, 2, 3 in both
            "pid": self.pid,
            "diffmaglim": depth,
            "pdiffimfilename": Texts(files, of_image.ravel().astype(np.int64)),
            "programpi": "Kulkarni",
            "programid": 1,
            "candid": self.candid,
            "isdiffpos": Texts(("t", "f"), sign),
            "tblid": np.where(hit, np.where(self.candid == INT_MISSING, 0, self.candid % 10_000) + 1, INT_MISSING),
            "nid": night,
            "rcid": pairs.detector,
            "field": field,
            "xpos": shown(pairs.x),
            "ypos": shown(pairs.y),
            "ra": shown(self.ra),
            "dec": shown(self.decl),
            "magpsf": shown(mag),
            "sigmapsf": shown(sigma),
            "chipsf": shown(np.exp(normal(0.5, 0.5))),
            "magap": shown(mag + normal(0.08)),
            "sigmagap": shown(1.3 * sigma),
            "distnr": shown(self.near_arcsec[obj] / PIXEL_ARCSEC["ztf"]),
            "magnr": shown(magnr),
            "sigmagnr": shown(0.01 + 0.1 * 10 ** (0.3 * (magnr - 21.0))),
            "chinr": shown(np.exp(normal(0.3))),
            "sharpnr": shown(normal(0.1)),
            "sky": shown(normal(1.0)),
            "magdiff": shown(magdiff),
            "fwhm": shown(fwhm),
            "classtar": shown(np.where(bogus, rng.uniform(0.0, 1.0, n), rng.beta(20.0, 1.0, n))),
            "mindtoedge": shown(edge),
            "magfromlim": shown(depth - mag),
            "seeratio": shown(np.where(bogus, 2.0, 0.9 + np.abs(normal(0.1)))),
            "aimage": shown(minor * elong),
            "bimage": shown(minor),
            "aimagerat": shown(0.45 * elong),
            "bimagerat": shown(0.45),
            "elong": shown(elong),
            "nneg": np.where(hit, np.where(bogus, 6, rng.poisson(1.0, n)), INT_MISSING),
            "nbad": np.where(hit, np.where(bogus, rng.poisson(0.5, n), 0), INT_MISSING),
            "rb": shown(pairs.score),
            "sumrat": shown(np.where(bogus, rng.uniform(0.3, 1.0, n), rng.beta(50.0, 1.0, n))),
            "magapbig": shown(mag + normal(0.1)),
            "sigmagapbig": shown(1.6 * sigma),
            "ranr": shown(np.round(self.near_ra[obj], 7)),
            "decnr": shown(np.round(self.near_decl[obj], 7)),
            "scorr": shown(pairs.snr),
            "magzpsci": self.zero_point[visit],
            "magzpsciunc": 1e-5,
            "magzpscirms": 0.03,
            "clrcoeff": np.where(band == 1, -0.03, 0.08),
            "clrcounc": 1.5e-5,
            "rbversion": "t17_f5_c3",
        }

    def _encode_forced(self, encoder: RecordEncoder) -> Records:
        """All forced rows in falling order, so that any object's newest rows first are one stretch of bytes."""
        plan, pairs = self.plan, self.seen.pairs
        which = self.forced[::-1]
        n = len(which)
        visits, visit, obj = plan.visits, pairs.visit[which], pairs.obj[which]
        rng = plan.rng(8)
        scale = 10.0 ** (-0.4 * (lightcurves.ZERO_POINT - self.zero_point[visit]))
        # observed in public packets: 54% good, 3% usable with a warning, 43% failed
        lot = rng.random(n)
        status = np.select([lot < 0.54, lot < 0.57, lot < 0.58], [0, 1, 2], 3)
        failed = status >= 2
        lost = failed | (rng.random(n) < 0.33)

        def unless_failed(values: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.where(failed, _FAILED, values)

        def unless_lost(values: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.where(lost, _FAILED, values)

        columns = take(self.columns, which)
        reference = self.near_mag[obj] - 2.5 * np.log10(
            lightcurves.colour(visits.band[visit], self.near_temperature[obj])
        )
        flux = pairs.flux[which] + 0.1 * pairs.err[which] * rng.standard_normal(n)
        columns |= {
            "rfid": self._reference_id(which),
            "sciinpseeing": visits.seeing[visit],
            "scibckgnd": 250.0,
            "scisigpix": np.exp(rng.normal(np.log(10.0), 0.1, n)),
            "exptime": 30.0,
            "adpctdif1": 0.06,
            "adpctdif2": 0.06,
            "forcediffimflux": unless_failed(flux * scale),
            "forcediffimfluxunc": unless_failed(pairs.err[which] * scale),
            "procstatus": Texts(("0", "56", "55", "61"), status),
            "distnr": unless_lost(self.near_arcsec[obj] / PIXEL_ARCSEC["ztf"]),
            "ranr": unless_lost(self.near_ra[obj]),
            "decnr": unless_lost(self.near_decl[obj]),
            "magnr": unless_lost(reference),
            "sigmagnr": unless_lost(np.full(n, 0.02)),
            "chinr": unless_lost(np.full(n, 0.7)),
            "sharpnr": unless_lost(np.zeros(n)),
        }
        return encoder.encode(n, columns)

    def _reference_id(self, which: NDArray[np.int64]) -> NDArray[np.int64]:
        pairs, visits = self.seen.pairs, self.plan.visits
        field = self.plan.fields.number[visits.field[pairs.visit[which]]]
        return field * 10**6 + visits.band[pairs.visit[which]] * 10**5 + 20_000 + pairs.detector[which]

    def _choose(self) -> None:
        pairs = self.seen.pairs
        which = np.flatnonzero(pairs.emit)
        order = np.lexsort((self.candid[which], pairs.detector[which], pairs.visit[which]))
        self.alert_pair = which[order]
        visit, obj = pairs.visit[self.alert_pair], pairs.obj[self.alert_pair]
        self.alert_visit, self.alert_obj = visit, obj
        self.is_mover = pairs.objects.kind[obj] == sky.MOVER
        visits = self.plan.visits
        # pairs run by object and time: the history is the stretch of the last 30 days before the alert
        key = pairs.obj * 1e6 + visits.mjd[pairs.visit]
        oldest = np.searchsorted(key, obj * 1e6 + visits.mjd[visit] - _HISTORY_D)
        self.history_start = np.maximum(oldest, self.starts[obj])
        # forced rows never reach into the night of the alert
        tonight = np.searchsorted(key, obj * 1e6 + visits.day[visit])
        self.forced_start = self.forced_before[self.history_start]
        self.forced_end = np.maximum(self.forced_before[np.maximum(tonight, self.history_start)], self.forced_start)
        seen = np.cumsum(pairs.detected) - pairs.detected
        has_history = seen[self.alert_pair] > seen[self.history_start] if len(which) else np.zeros(0, np.bool_)
        self.faults = faults.plan(
            "ztf", has_history, self.is_mover, self.plan.rates, self.plan.rng(4), each=self.plan.each_fault
        )
        self.candidate_columns = self._candidate_columns()

    def _candidate_columns(self) -> Columns:
        plan, pairs = self.plan, self.seen.pairs
        rng = plan.rng(9)
        at, obj, visit = self.alert_pair, self.alert_obj, self.alert_visit
        n = len(at)
        columns = take(self.columns, at)
        first = self.starts[obj]
        detections = self.before[at] - np.concatenate((self.before, [0]))[first] + 1
        jd = self.jd[visit]
        first_jd = np.where(self.old_detections[obj] > 0, self.old_start[obj], jd)
        earliest = np.full(len(pairs.objects), np.inf)
        hit = pairs.detected
        np.minimum.at(earliest, pairs.obj[hit], self.jd[pairs.visit[hit]])
        first_jd = np.where(self.old_detections[obj] > 0, first_jd, earliest[obj])
        mover = self.is_mover
        ps1 = self.ps1_known[obj]
        score = np.asarray(columns["rb"])

        def known(values: NDArray[np.float64], where: NDArray[np.bool_] = ps1) -> NDArray[np.float64]:
            return np.where(where, values, _NONE)

        sighting = obj - (len(pairs.objects) - int((pairs.objects.kind == sky.MOVER).sum()))
        names = self._mover_names()
        columns |= {
            "ssdistnr": np.where(mover, np.abs(rng.normal(0.0, 0.8, n)), _NONE),
            "ssmagnr": np.where(mover, pairs.objects.mag[obj] + 0.2, _NONE),
            "ssnamenr": Texts(
                (*names, "null"),
                np.where(mover, self.seen.movers.mover[np.where(mover, sighting, 0)], len(names))
                if len(names)
                else np.zeros(n, np.int64),
            ),
            "ndethist": self.old_detections[obj] + detections,
            "ncovhist": self.old_visits[obj] + at - first + 1,
            "jdstarthist": first_jd,
            "jdendhist": jd,
            "tooflag": 0,
            "nmtchps": rng.integers(1, 20, n),
            "rfid": self._reference_id(at),
            "jdstartref": 2458246.8556,
            "jdendref": 2458643.8146,
            "nframesref": 15,
            "dsnrms": np.abs(rng.normal(8.0, 3.0, n)),
            "ssnrms": np.abs(rng.normal(18.0, 5.0, n)),
            "dsdiff": rng.normal(-10.0, 5.0, n),
            "nmatches": rng.integers(300, 2000, n),
            "zpclrcov": -8e-5,
            "zpmed": self.zero_point[visit],
            "clrmed": 0.7,
            "clrrms": 0.15,
            "neargaia": np.abs(rng.normal(5.0, 4.0, n)),
            "neargaiabright": rng.uniform(10.0, 85.0, n),
            "maggaia": rng.uniform(15.0, 20.5, n),
            "maggaiabright": rng.uniform(11.0, 14.0, n),
            "exptime": 30.0,
            "drb": np.clip(np.where(score > 0.5, score**0.2, score**2), 0.0, 1.0),
            "drbversion": "d6_m7",
            "objectidps1": np.where(ps1, rng.integers(70_000_000_000_000_000, 190_000_000_000_000_000, n), INT_MISSING),
            "sgscore1": known(self.near_is_star[obj]),
            "distpsnr1": known(np.abs(self.near_arcsec[obj] + rng.normal(0.0, 0.05, n))),
        }
        for letter, band in (("g", 1), ("r", 2), ("i", 3), ("z", 4)):
            mag = self.near_mag[obj] - 2.5 * np.log10(lightcurves.colour(np.full(n, band), self.near_temperature[obj]))
            columns[f"s{letter}mag1"] = known(mag, ps1 & (rng.random(n) < 0.97))
        for rank in (2, 3):
            there = ps1 & (rng.random(n) < 0.9)
            columns[f"objectidps{rank}"] = np.where(there, rng.integers(7 * 10**16, 19 * 10**16, n), INT_MISSING)
            columns[f"sgscore{rank}"] = known(rng.beta(0.5, 0.5, n), there)
            columns[f"distpsnr{rank}"] = known(rng.uniform(5.0, 15.0, n) * (rank - 1), there)
            red = rng.uniform(17.0, 22.0, n)
            for letter, wave in (("g", 1), ("r", 2), ("i", 3), ("z", 4)):
                columns[f"s{letter}mag{rank}"] = known(
                    red + 0.5 * (WAVELENGTH_NM[2] / WAVELENGTH_NM[wave] - 1.0), there
                )
        return columns

    def _mover_names(self) -> list[str]:
        run = zlib.crc32(f"{self.plan.name} {self.plan.seed} {self.plan.number}".encode()) % 9_000_000
        names, _ = orbits.designations((run + np.arange(len(self.seen.orbits))) % 9_200_000)
        # ZTF writes them without the blank
        return [name.replace(" ", "") for name in names]

    def messages(self) -> Iterator[SimMessage]:
        """The alerts in order, faults of contents and bytes done; `faults.deliver` does those of order."""
        artist = Artist("ztf", self.plan.rng(5), extensions=False)
        rng = self.plan.rng(6)
        for first in range(0, self.alerts, _AT_ONCE):
            chunk = np.arange(first, min(first + _AT_ONCE, self.alerts))
            files = artist.files(self._scenes(chunk, rng))
            for k, cutouts in zip(chunk.tolist(), files, strict=True):
                yield self._message(k, cutouts, rng)

    def _scenes(self, chunk: NDArray[np.int64], rng: np.random.Generator) -> Scenes:
        pairs, visits = self.seen.pairs, self.plan.visits
        at, obj, visit = self.alert_pair[chunk], self.alert_obj[chunk], self.alert_visit[chunk]
        objects = pairs.objects
        # images are in counts
        scale = 10.0 ** (-0.4 * (lightcurves.ZERO_POINT - self.zero_point[visit]))
        east, north = offsets_from(self.ra[at], self.decl[at], objects.host_ra[obj], objects.host_decl[obj])
        spread = visits.seeing[visit] / PIXEL_ARCSEC["ztf"] / 2.3548
        return Scenes(
            flux=pairs.flux[at] * scale,
            star=pairs.template[at] * scale,
            seeing=visits.seeing[visit],
            pixel_noise=lightcurves.flux_of(visits.depth[visit]) / 5.0 * scale / np.sqrt(4 * np.pi) / spread,
            host_flux=lightcurves.flux_of(objects.host_mag[obj]) * scale,
            host_east=east * 3600.0,
            host_north=north * 3600.0,
            host_size=objects.host_size[obj],
            host_ratio=objects.host_ratio[obj],
            host_angle=objects.host_angle[obj],
            dipole=(objects.kind[obj] == sky.BOGUS) & (at % 10 == 0),
            ra=self.ra[at],
            decl=self.decl[at],
            x=pairs.x[at],
            y=pairs.y[at],
            lot=rng.random(len(chunk)),
            angle=np.zeros(len(chunk)),
        )

    def _message(self, k: int, cutouts: tuple[bytes, bytes, bytes], rng: np.random.Generator) -> SimMessage:
        name = faults.NAMES[self.faults[k]] if self.faults[k] >= 0 else ""
        pair, obj, visit = int(self.alert_pair[k]), int(self.alert_obj[k]), int(self.alert_visit[k])
        candid, pid = int(self.candid[pair]), int(self.pid[pair])
        first, last = int(self.history_start[k]), pair
        if name == "gap":
            last -= 1
        history = self.rows.span(first, max(last, first))
        if name == "reprocessed":
            history = self._reprocessed(first, last)
        n_forced = int(self.forced_end[k] - self.forced_start[k])
        total = len(self.forced)
        forced = self.forced_rows.span(total - int(self.forced_end[k]), total - int(self.forced_start[k]))
        parts: dict[str, bytes | None] = {
            "schemavsn": text_bytes(_VERSION),
            "publisher": text_bytes("simulated"),
            "objectId": text_bytes(str(self.names[obj])),
            "candid": long_bytes(candid),
            "candidate": self.candidates[k],
            "prv_candidates": array_bytes(last - first, history) if last > first else None,
            "fp_hists": array_bytes(n_forced, forced) if n_forced else None,
        }
        difference = self._spoil(name, k, parts, cutouts[0], rng) if name in _DRAW_CONTENT else cutouts[0]
        stem = f"candid{candid}"
        for field, file, data in (
            ("cutoutScience", f"{stem}_pid{pid}_targ_sci.fits.gz", cutouts[1]),
            ("cutoutTemplate", f"{stem}_ref.fits.gz", cutouts[2]),
            ("cutoutDifference", f"{stem}_pid{pid}_targ_refmsci.fits.gz", difference),
        ):
            parts[field] = self.cutout.join({"fileName": text_bytes(file), "stampData": text_bytes(data)})
        datum = self.joiner.join(parts)
        head = self.header + b"\x02" + long_bytes(len(datum))
        message = SimMessage(
            "ztf",
            int(yyyymmdd(self.plan.visits.day[visit : visit + 1])[0]),
            b"".join((head, datum, self.sync)),
            _VERSION,
            (len(head), len(head) + len(datum)),
            visit,
            candid,
            str(self.names[obj]),
        )
        if name:
            return faults.damage(name, message, rng)
        if self.seen.pairs.objects.twin[obj] >= 0 and self.plan.rates:
            return message._replace(fault=faults.fault("twin"))
        return message

    def _reprocessed(self, first: int, last: int) -> bytes:
        """The history with another magnitude in its newest detection."""
        seen = self.seen.pairs.detected[first:last]
        at = first + int(np.flatnonzero(seen)[-1])
        row = take(self.columns, np.array([at]))
        row["magpsf"] = np.asarray(row["magpsf"]) - 0.03
        changed = self._prv_encoder().encode(1, row)[0]
        return self.rows.span(first, at) + changed + self.rows.span(at + 1, last)

    def _prv_encoder(self) -> RecordEncoder:
        return RecordEncoder(record_schema(writer_schema("ztf", _VERSION), "prv_candidate"))

    def _spoil(
        self, name: str, k: int, parts: dict[str, bytes | None], difference: bytes, rng: np.random.Generator
    ) -> bytes:
        """Faults of the packet's contents; the difference image to send."""
        changes: Mapping[str, Mapping[str, Column]] = {
            "future_time": {"jd": np.array([2_499_999.9])},
            "bad_position": {"dec": np.array([123.0])},
            "closed_programme": {"programid": 2},
            "spelling": {
                "ssdistnr": None, "ssmagnr": None, "ssnamenr": None, "sgmag2": np.array([_NONE]), "drb": np.array([np.nan]),
                "objectidps3": None, "sgscore3": np.array([_NONE]),
            },
        }  # fmt: skip
        if name == "spelling" and self.is_mover[k]:
            # the distance is what makes it a mover
            changes = {"spelling": {"drb": np.array([np.nan]), "objectidps3": None}}
        if name in changes:
            row = take(self.candidate_columns, np.array([k]))
            row.update(changes[name])
            parts["candidate"] = self._candidate.encode(1, row, nan_is_null=name != "spelling")[0]
            return difference
        if name == "huge_cutout":
            return gzip_file(fits_image(rng.standard_normal((_HUGE_SIDE, _HUGE_SIDE), np.float32)))
        if name == "large_cutout":
            return gzip_file(fits_image(rng.standard_normal((100, 100), np.float32)))
        if name == "broken_cutout":
            return b"SIMPLX" + rng.bytes(2874)
        return b""

    def truth(self) -> list[Truth]:
        """What the objects of the alerts are."""
        objects = self.seen.pairs.objects
        counts = np.bincount(self.alert_obj, minlength=len(objects))
        names = self._mover_names()
        first_mover = len(objects) - int((objects.kind == sky.MOVER).sum())
        rows = []
        for k in np.flatnonzero(counts).tolist():
            designation = names[int(self.seen.movers.mover[k - first_mover])] if k >= first_mover else ""
            rows.append(_truth_of(objects, k, "ztf", str(self.names[k]), int(counts[k]), designation))
        return rows
