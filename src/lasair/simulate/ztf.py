"""ZTF packets of one plan: which detections become alerts, with which history, and the messages themselves."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from lasair.packets.ids import unpack_ztf
from lasair.schema.avsc import writer_schema
from lasair.schema.model import INT_MISSING
from lasair.simulate import faults, fits, lightcurves, lsst_records, orbits, sky, ztf_records
from lasair.simulate.detect import Plan, measured_position, see
from lasair.simulate.encode import (
    Column,
    Joiner,
    RecordEncoder,
    Texts,
    array_bytes,
    container_header,
    long_bytes,
    record_schema,
    sync_marker,
    take,
    text_bytes,
)
from lasair.simulate.images import Artist, Cutouts, Scenes, spoiled_cutout
from lasair.simulate.messages import SimMessage, Truth
from lasair.simulate.truth import object_truth
from lasair.simulate.visits import PIXEL_ARCSEC, offsets_from, yyyymmdd, ztf_night_id
from lasair.times import mjd_tai_to_jd_utc

_VERSION = "4.02"
#: images are drawn and packets joined so many at a time
_AT_ONCE = 256
#: packets carry so much history
_HISTORY_D = 30.0
_NAMES = 26**7
#: larger than any time, smaller than a double's exact integers over the number of objects
_APART = 1e6
#: values that spoil a detection, or say otherwise that they are missing
_SPOILT: dict[str, dict[str, Column]] = {
    "future_time": {"jd": np.array([2_499_999.9])},
    "bad_position": {"dec": np.array([123.0])},
    "closed_programme": {"programid": 2},
    "spelling": {
        "drb": np.array([np.nan]),
        "objectidps3": None,
        "sgscore2": np.array([ztf_records.NONE]),
        "sgmag2": None,
    },
}
_NO_MOVER: dict[str, Column] = {"ssdistnr": None, "ssmagnr": None, "ssnamenr": None}


class ZtfRun:
    """One plan's ZTF packets."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.seen = see(plan)
        self.jd = mjd_tai_to_jd_utc(plan.visits.mjd)
        schema = writer_schema("ztf", _VERSION)
        self.sync = sync_marker("ztf", plan.name, plan.seed)
        self.header = container_header(schema, self.sync)
        self._joiner = Joiner(schema)
        self._cutout = Joiner(record_schema(schema, "cutout"))
        self._candidate = RecordEncoder(record_schema(schema, "candidate"))
        self._row = RecordEncoder(record_schema(schema, "prv_candidate"))
        self._name()
        self._number()
        self._choose()
        self._encode(RecordEncoder(record_schema(schema, "fp_hist")))

    def _name(self) -> None:
        """objectIds: the year of the first detection, and letters that count on from a place of the run's own."""
        plan, objects = self.plan, self.seen.pairs.objects
        old = np.isin(objects.kind, (*sky.STARS, sky.AGN))
        this_year = int(yyyymmdd(plan.visits.day[:1])[0]) // 10_000 - 2000
        year = np.where(old, plan.rng(11).integers(18, this_year, len(objects)), this_year)
        # 26^7 is nearly 2^33: 512 runs of 1024 plans of 8192 objects
        run = zlib.crc32(f"{plan.name} {plan.seed}".encode()) & 0x1FF
        number = (run << 23) + (plan.number << 13) + np.arange(len(objects))
        self.names = unpack_ztf(year * _NAMES + number % _NAMES + 1)
        serial = zlib.crc32(f"{plan.name} {plan.seed} {plan.number}".encode())
        movers, _ = orbits.designations(serial + np.arange(len(self.seen.elements)))
        # written without the blank
        self.mover_names = [name.replace(" ", "") for name in movers]
        is_mover = objects.kind == sky.MOVER
        self.mover_of = np.full(len(objects), -1)
        self.mover_of[is_mover] = self.seen.movers.mover

    def _number(self) -> None:
        """pid and candid of the form the survey gives them, and which pairs have forced photometry."""
        plan, pairs, visits = self.plan, self.seen.pairs, self.plan.visits
        # day, its fifth decimal, readout channel; and the number of the detection in that image
        fraction = np.floor((self.jd + 0.5) % 1.0 * 1e5).astype(np.int64)
        image = (ztf_night_id(visits) * 10**5 + fraction)[pairs.visit]
        self.pid = image * 10**4 + pairs.detector * 100 + 15
        order = np.argsort(self.pid, kind="stable")
        order = order[pairs.detected[order]]
        rank = np.arange(len(order)) - np.searchsorted(self.pid[order], self.pid[order])
        self.candid = np.full(len(pairs), INT_MISSING)
        self.candid[order] = self.pid[order] * 10**6 + 10_000 + rank
        first = np.full(len(pairs.objects), np.iinfo(np.int64).max)
        np.minimum.at(first, pairs.obj[pairs.detected], visits.day[pairs.visit[pairs.detected]])
        # from the day after the first detection, and where the survey has got to it
        served = plan.rng(7).random(len(pairs.objects)) < plan.forced_share
        forced = (visits.day[pairs.visit] > first[pairs.obj]) & served[pairs.obj]
        self.forced = np.flatnonzero(forced)
        self.forced_before: NDArray[np.int64] = np.append(0, np.cumsum(forced))

    def _choose(self) -> None:
        """The alerts in the order they are sent (by visit, then channel by channel) and the rows of their histories."""
        plan, pairs, visits = self.plan, self.seen.pairs, self.plan.visits
        which = np.flatnonzero(pairs.emit)
        order = np.lexsort((self.candid[which], pairs.detector[which], pairs.visit[which]))
        #: each alert's place among the pairs
        self.pair = which[order]
        self.visit, self.obj = pairs.visit[self.pair], pairs.obj[self.pair]
        self.is_mover = self.mover_of[self.obj] >= 0
        # pairs run by object and time, and so does this
        key = pairs.obj * _APART + visits.mjd[pairs.visit]
        start = np.searchsorted(key, self.obj * _APART + visits.mjd[self.visit] - _HISTORY_D)
        start = np.maximum(start, pairs.starts()[self.obj])
        self.history = np.stack((start, self.pair), axis=1)
        # forced rows never reach into the night of the alert
        tonight = np.maximum(np.searchsorted(key, self.obj * _APART + visits.day[self.visit]), start)
        self.forced_history = self.forced_before[np.stack((start, tonight), axis=1)]
        seen = np.append(0, np.cumsum(pairs.detected))
        has_history = seen[self.pair] > seen[start]
        self.faults = faults.plan("ztf", has_history, self.is_mover, plan.rates, plan.rng(4), each=plan.each_fault)

    def _encode(self, forced: RecordEncoder) -> None:
        plan, pairs = self.plan, self.seen.pairs
        rng = plan.rng(3)
        near = ztf_records.neighbours(pairs.objects, rng)
        ra, decl, _ = measured_position(plan, pairs, rng)
        self.ra, self.decl = np.round(ra, 7) % 360.0, np.round(decl, 7)
        self.zero_point = 26.2 + 0.1 * rng.standard_normal(len(plan.visits))
        self.rows = ztf_records.row_columns(
            plan, pairs, near, jd=self.jd, pid=self.pid, candid=self.candid, ra=self.ra, decl=self.decl,
            zero_point=self.zero_point, rng=rng,
        )  # fmt: skip
        self.candidates = ztf_records.candidate_columns(
            plan, pairs, near, self.rows, self.pair, jd=self.jd, zero_point=self.zero_point,
            mover_names=Texts(self.mover_names, self.mover_of[self.obj]), rng=plan.rng(9),
        )  # fmt: skip
        self._row_bytes = self._row.encode(len(pairs), self.rows)
        self._candidate_bytes = self._candidate.encode(self.alerts, self.candidates)
        # backwards, so that any object's newest rows first are one stretch of bytes
        columns = ztf_records.forced_columns(
            plan, pairs, near, self.rows, self.forced[::-1], self.zero_point, plan.rng(8)
        )
        self._forced_bytes = forced.encode(len(self.forced), columns)

    @property
    def alerts(self) -> int:
        """How many alerts there are (before copies)."""
        return len(self.pair)

    def messages(self) -> Iterator[SimMessage]:
        """The alerts in order, faults of contents and bytes done; `faults.deliver` does those of order."""
        artist = Artist("ztf", self.plan.rng(5), extensions=False)
        rng = self.plan.rng(6)
        for first in range(0, self.alerts, _AT_ONCE):
            chunk = np.arange(first, min(first + _AT_ONCE, self.alerts))
            for k, cutouts in zip(chunk.tolist(), artist.files(self._scenes(chunk, rng)), strict=True):
                yield self._message(k, cutouts, rng)

    def _scenes(self, chunk: NDArray[np.int64], rng: np.random.Generator) -> Scenes:
        pairs, visits, objects = self.seen.pairs, self.plan.visits, self.seen.pairs.objects
        at, obj, visit = self.pair[chunk], self.obj[chunk], self.visit[chunk]
        counts = 10.0 ** (-0.4 * (lightcurves.ZERO_POINT - self.zero_point[visit]))
        east, north = offsets_from(self.ra[at], self.decl[at], objects.host_ra[obj], objects.host_decl[obj])
        # a point source of width s px has the noise of 4 pi s^2 pixels
        width = visits.seeing[visit] / PIXEL_ARCSEC["ztf"] / 2.3548
        noise = lightcurves.flux_of(visits.depth[visit]) / 5.0 / np.sqrt(4 * np.pi) / width
        return Scenes(
            flux=pairs.flux[at] * counts,
            star=pairs.template[at] * counts,
            seeing=visits.seeing[visit],
            pixel_noise=noise * counts,
            host_flux=np.nan_to_num(lightcurves.flux_of(objects.host_mag[obj])) * counts,
            host_east=east * 3600.0,
            host_north=north * 3600.0,
            host_size=objects.host_size[obj],
            host_ratio=objects.host_ratio[obj],
            host_angle=objects.host_angle[obj],
            dipole=lsst_records.is_dipole(objects.kind[obj], at),
            ra=self.ra[at],
            decl=self.decl[at],
            x=pairs.x[at],
            y=pairs.y[at],
            lot=rng.random(len(chunk)),
            angle=np.zeros(len(chunk)),
        )

    def _message(self, k: int, cutouts: Cutouts, rng: np.random.Generator) -> SimMessage:
        name = faults.NAMES[self.faults[k]] if self.faults[k] >= 0 else ""
        pair, obj, visit = int(self.pair[k]), int(self.obj[k]), int(self.visit[k])
        candid, pid = int(self.candid[pair]), int(self.pid[pair])
        first, last = self.forced_history[k].tolist()
        total = len(self.forced)
        forced = array_bytes(last - first, self._forced_bytes.span(total - last, total - first))
        parts: dict[str, bytes | None] = {
            "schemavsn": text_bytes(_VERSION),
            "publisher": text_bytes("simulated"),
            "objectId": text_bytes(str(self.names[obj])),
            "candid": long_bytes(candid),
            "candidate": self._spoilt(name, k) if name in _SPOILT else self._candidate_bytes[k],
            "prv_candidates": self._history(k, name),
            "fp_hists": forced if last > first else None,
        }
        difference = cutouts[0]
        if name.endswith("_cutout"):
            difference = spoiled_cutout(name, "DN", rng)
            # what is no image stays bare: not even a gzip file
            difference = fits.gzipped(difference) if expects_image(name) else difference
        for field, file, data in (
            ("cutoutScience", f"candid{candid}_pid{pid}_targ_sci.fits.gz", cutouts[1]),
            ("cutoutTemplate", f"candid{candid}_ref.fits.gz", cutouts[2]),
            ("cutoutDifference", f"candid{candid}_pid{pid}_targ_refmsci.fits.gz", difference),
        ):
            parts[field] = self._cutout.join({"fileName": text_bytes(file), "stampData": text_bytes(data)})
        datum = self._joiner.join(parts)
        head = self.header + b"\x02" + long_bytes(len(datum))
        message = SimMessage(
            survey="ztf",
            night=int(yyyymmdd(self.plan.visits.day[visit : visit + 1])[0]),
            value=b"".join((head, datum, self.sync)),
            version=_VERSION,
            datum=(len(head), len(head) + len(datum)),
            visit=visit,
            alert_id=candid,
            object_id=str(self.names[obj]),
        )
        if name:
            return faults.damage(name, message, rng)
        if self.seen.pairs.objects.twin[obj] >= 0 and self.plan.rates:
            return message._replace(fault=faults.fault("twin"))
        return message

    def _history(self, k: int, name: str) -> bytes | None:
        first, last = self.history[k].tolist()
        last -= name == "gap"
        if last <= first:
            return None
        if name != "reprocessed":
            return array_bytes(last - first, self._row_bytes.span(first, last))
        newest = first + int(np.flatnonzero(self.seen.pairs.detected[first:last])[-1])
        row = take(self.rows, np.array([newest]))
        row["magpsf"] = np.asarray(row["magpsf"]) - 0.03
        changed = self._row.encode(1, row)[0]
        items = self._row_bytes.span(first, newest) + changed + self._row_bytes.span(newest + 1, last)
        return array_bytes(last - first, items)

    def _spoilt(self, name: str, k: int) -> bytes:
        """The detection with a fault of its contents."""
        row = take(self.candidates, np.array([k])) | _SPOILT[name]
        if name == "spelling" and not self.is_mover[k]:
            row |= _NO_MOVER
        return self._candidate.encode(1, row, nan_is_null=name != "spelling")[0]

    def truth(self) -> list[Truth]:
        """What the objects of the alerts are."""
        objects = self.seen.pairs.objects
        alerts = np.bincount(self.obj, minlength=len(objects))
        designation = [*self.mover_names, ""]
        return [
            object_truth("ztf", objects, k, str(self.names[k]), int(alerts[k]), designation[self.mover_of[k]])
            for k in np.flatnonzero(alerts).tolist()
        ]


def expects_image(name: str) -> bool:
    """Whether a broker must find an image in a cutout with that fault."""
    return faults.KINDS[name].expected != "image missing"
