"""LSST packets of one plan: which detections become alerts, with which history, and the messages themselves."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lasair.schema.avsc import schema_id, writer_schema
from lasair.schema.model import INT_MISSING
from lasair.simulate import faults, lightcurves, lsst_records, orbits, sky
from lasair.simulate.detect import Plan, measured_position, see
from lasair.simulate.encode import (
    Columns,
    Joiner,
    RecordEncoder,
    Records,
    array_bytes,
    long_bytes,
    record_schema,
    take,
    text_bytes,
)
from lasair.simulate.images import Artist, Cutouts, Scenes, spoiled_cutout
from lasair.simulate.lsst_records import Detections
from lasair.simulate.messages import Fault, SimMessage, Truth
from lasair.simulate.truth import mover_truth, object_truth
from lasair.simulate.visits import PIXEL_ARCSEC, offsets_from, yyyymmdd

#: images are drawn and packets joined so many at a time
_AT_ONCE = 256
_RECORDS = ("diaSource", "diaForcedSource", "diaObject", "ssSource", "mpc_orbits")
#: a quarter of the movers' detections say 0 for the object they do not have
_ZERO_OBJECT = 0.25
_MOVER_POSITION_ERR = 0.02 / 3600.0
#: values that spoil a detection
_SPOILT: dict[str, dict[str, float]] = {
    "future_time": {"midpointMjdTai": 99_999.5},
    "bad_position": {"dec": 123.0},
    "infinite_snr": {"snr": np.inf},
}


class _Encoders:
    """What writes one schema version; records are encoded when first asked for, all of a type at once."""

    def __init__(self, version: str, columns: Mapping[str, Callable[[], tuple[int, Columns]]]) -> None:
        schema = writer_schema("lsst", version)
        self.prefix = b"\0" + schema_id(version).to_bytes(4, "big")
        self.alert = Joiner(schema)
        self.of = {name: RecordEncoder(record_schema(schema, name)) for name in _RECORDS}
        self._columns = columns
        self._made: dict[str, Records] = {}

    def records(self, name: str) -> Records:
        if name not in self._made:
            self._made[name] = self.of[name].encode(*self._columns[name]())
        return self._made[name]

    def one(
        self, name: str, columns: Columns, row: int, changes: Mapping[str, float], *, nan_is_null: bool = True
    ) -> bytes:
        """One record anew, with some values changed."""
        values = take(columns, np.array([row])) | {key: np.array([value]) for key, value in changes.items()}
        return self.of[name].encode(1, values, nan_is_null=nan_is_null)[0]


class LsstRun:
    """One plan's LSST packets."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.seen = see(plan)
        rng = plan.rng(3)
        self._name_movers()
        self._number()
        self.found = self._measure(rng)
        self._choose()
        self._columns(rng)

    def _name_movers(self) -> None:
        run = zlib.crc32(f"{self.plan.name} {self.plan.seed} {self.plan.number}".encode())
        self.mover_names, self.mover_packed = orbits.designations(run + np.arange(len(self.seen.elements)))
        self.mover_ids = np.array([orbits.ss_object_id(packed) for packed in self.mover_packed], np.int64)

    def _number(self) -> None:
        """Ids of sources and objects; which pairs have forced photometry; where each object's rows begin and end."""
        plan, pairs, movers = self.plan, self.seen.pairs, self.seen.movers
        visits = plan.visits
        self.det = np.flatnonzero(pairs.detected)
        n_det, n = len(self.det), len(self.det) + len(movers)
        visit = np.concatenate((pairs.visit[self.det], movers.visit))
        # ids rise with time; 14 bits for the run's name and seed, 12 for the plan, 31 for the detection
        run = zlib.crc32(f"{plan.name} {plan.seed}".encode()) & 0x3FFF
        self.first_id = (1 << 57) + ((run << 12 | plan.number) << 31)
        self.source_id = np.empty(n, np.int64)
        self.source_id[np.argsort(visit, kind="stable")] = self.first_id + np.arange(n)

        starts = pairs.starts()[:-1]
        seen = np.cumsum(pairs.detected)
        #: detections (and forced rows) of all objects before a pair, and before an object's first
        self.det_before: NDArray[np.int64] = seen - pairs.detected
        self.det_first = np.append(self.det_before, n_det)[starts]
        # an object is known by the id of its first detection, as in the survey
        self.object_id = np.append(self.source_id, INT_MISSING)[np.minimum(self.det_first, n_det)]
        created = np.full(len(pairs.objects), np.iinfo(np.int64).max)
        np.minimum.at(created, pairs.obj[self.det], visits.day[pairs.visit[self.det]])
        forced = visits.day[pairs.visit] > created[pairs.obj]
        self.forced = np.flatnonzero(forced)
        self.forced_upto = np.cumsum(forced)
        self.forced_first = np.append(self.forced_upto - forced, len(self.forced))[starts]

    def _measure(self, rng: np.random.Generator) -> Detections:
        plan, pairs, movers, det = self.plan, self.seen.pairs, self.seen.movers, self.det
        n_mov = len(movers)
        ra, decl, position_err = measured_position(plan, pairs, rng)
        true = lightcurves.flux_of(movers.mag)
        err = lightcurves.noise(plan.visits.depth[movers.visit], true)
        flux = np.maximum(true + err * rng.standard_normal(n_mov), 5.05 * err)
        shift = rng.normal(0.0, _MOVER_POSITION_ERR, (2, n_mov))
        no_owner = np.where(rng.random(n_mov) < _ZERO_OBJECT, 0, INT_MISSING)

        def both(objects: NDArray[Any], of_movers: NDArray[Any]) -> NDArray[Any]:
            return np.concatenate((objects, of_movers))

        return Detections(
            of_objects=len(det),
            source_id=self.source_id,
            visit=both(pairs.visit[det], movers.visit),
            detector=both(pairs.detector[det], movers.detector),
            x=both(pairs.x[det], movers.x),
            y=both(pairs.y[det], movers.y),
            ra=both(ra[det], (movers.ephemeris.ra + shift[0]) % 360.0),
            decl=both(decl[det], movers.ephemeris.decl + shift[1]),
            position_err=both(position_err[det], np.full(n_mov, _MOVER_POSITION_ERR)),
            flux=both(pairs.flux[det], flux),
            err=both(pairs.err[det], err),
            template=both(pairs.template[det], np.zeros(n_mov)),
            owner=both(self.object_id[pairs.obj[det]], no_owner),
            mover_id=both(np.full(len(det), INT_MISSING), self.mover_ids[movers.mover]),
            kind=both(pairs.objects.kind[pairs.obj[det]], np.full(n_mov, sky.MOVER)),
            reliability=both(pairs.score[det], 0.5 + 0.5 * rng.beta(4.0, 0.5, n_mov)),
        )

    def _choose(self) -> None:
        """The alerts in the order they are sent (visit by visit, detector by detector), and their histories' rows."""
        plan, pairs, found = self.plan, self.seen.pairs, self.found
        n_det = found.of_objects
        which = np.append(np.flatnonzero(pairs.emit[self.det]), np.arange(n_det, len(found)))
        order = np.lexsort((found.source_id[which], found.detector[which], found.visit[which]))
        #: each alert's place among the detections
        self.source = which[order]
        self.visit = found.visit[self.source]
        self.is_mover = self.source >= n_det
        # movers have no object; -1 takes what np.append puts last
        pair = np.append(self.det, -1)[np.minimum(self.source, n_det)]
        self.obj = np.append(pairs.obj, -1)[pair]
        det_end = np.append(self.det_before, 0)[pair]
        forced_end = np.append(self.forced_upto, 0)[pair]
        det_start = np.maximum(np.append(self.det_first, 0)[self.obj], det_end - plan.max_sources)
        forced_start = np.maximum(np.append(self.forced_first, 0)[self.obj], forced_end - plan.max_forced)
        #: ranges of detections and of forced rows
        self.history = np.stack((det_start, det_end), axis=1)
        # before an object's second day there is no forced row
        self.forced_history = np.stack((np.minimum(forced_start, forced_end), forced_end), axis=1)
        # schema versions come into use one after the other, at a visit's beginning
        turn = np.searchsorted(self.visit, self.visit)
        self.version = np.minimum(turn * len(plan.versions) // max(len(turn), 1), len(plan.versions) - 1)
        self.faults = faults.plan(
            "lsst", det_end > det_start, self.is_mover, plan.rates, plan.rng(4), each=plan.each_fault
        )

    def _columns(self, rng: np.random.Generator) -> None:
        found, pairs = self.found, self.seen.pairs
        # forced rows have ids of their own range
        forced_id = self.first_id + (1 << 58)
        self.sources = lsst_records.source_columns(self.plan, found, rng)
        self.objects = lsst_records.object_columns(self.plan, found, pairs.obj[self.det])
        forced = lsst_records.forced_columns(self.plan, pairs, self.forced, self.object_id, forced_id, rng)
        movers, elements, names = self.seen.movers, self.seen.elements, self.mover_names
        orbit_rng = self.plan.rng(10)
        columns: dict[str, Callable[[], tuple[int, Columns]]] = {
            "diaSource": lambda: (len(found), self.sources),
            "diaObject": lambda: (found.of_objects, self.objects),
            "diaForcedSource": lambda: (len(self.forced), forced),
            "ssSource": lambda: (len(movers), lsst_records.ss_columns(found, movers, elements, names)),
            "mpc_orbits": lambda: (
                len(elements),
                lsst_records.orbit_columns(elements, names, self.mover_packed, orbit_rng),
            ),
        }
        self.encoders = [_Encoders(version, columns) for version in self.plan.versions]

    @property
    def alerts(self) -> int:
        """How many alerts there are (before copies)."""
        return len(self.source)

    def messages(self) -> Iterator[SimMessage]:
        """The alerts in order, faults of contents and bytes done; `faults.deliver` does those of order."""
        artist = Artist("lsst", self.plan.rng(5), extensions=self.plan.extensions)
        rng = self.plan.rng(6)
        for first in range(0, self.alerts, _AT_ONCE):
            chunk = np.arange(first, min(first + _AT_ONCE, self.alerts))
            for k, cutouts in zip(chunk.tolist(), artist.files(self._scenes(chunk, rng)), strict=True):
                yield self._message(k, cutouts, rng)

    def _scenes(self, chunk: NDArray[np.int64], rng: np.random.Generator) -> Scenes:
        found, visits, objects = self.found, self.plan.visits, self.seen.pairs.objects
        at, obj, visit = self.source[chunk], self.obj[chunk], self.visit[chunk]

        def host(values: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.asarray(np.append(values, np.nan)[obj], np.float64)

        east, north = offsets_from(found.ra[at], found.decl[at], host(objects.host_ra), host(objects.host_decl))
        # a point source of width s px has the noise of 4 pi s^2 pixels
        width = visits.seeing[visit] / PIXEL_ARCSEC["lsst"] / 2.3548
        return Scenes(
            flux=found.flux[at],
            star=found.template[at],
            seeing=visits.seeing[visit],
            pixel_noise=lightcurves.flux_of(visits.depth[visit]) / 5.0 / np.sqrt(4 * np.pi) / width,
            host_flux=np.nan_to_num(lightcurves.flux_of(host(objects.host_mag))),
            host_east=east * 3600.0,
            host_north=north * 3600.0,
            host_size=host(objects.host_size),
            host_ratio=host(objects.host_ratio),
            host_angle=host(objects.host_angle),
            dipole=lsst_records.is_dipole(found.kind[at], at),
            ra=found.ra[at],
            decl=found.decl[at],
            x=found.x[at],
            y=found.y[at],
            lot=rng.random(len(chunk)),
            angle=np.asarray(visit * 37.0 % 360.0, np.float64),
        )

    def _message(self, k: int, cutouts: Cutouts, rng: np.random.Generator) -> SimMessage:
        encoders = self.encoders[self.version[k]]
        name = faults.NAMES[self.faults[k]] if self.faults[k] >= 0 else ""
        at, visit = int(self.source[k]), int(self.visit[k])
        reason = self.plan.fields.reason[int(self.plan.visits.field[visit])]
        parts: dict[str, bytes | None] = {
            "diaSourceId": long_bytes(int(self.source_id[at])),
            "observation_reason": text_bytes(reason),
            "target_name": text_bytes(f"{reason}, lowdust" if reason.startswith("ddf") else "lowdust"),
            "diaSource": encoders.records("diaSource")[at],
            "cutoutDifference": text_bytes(cutouts[0]),
            "cutoutScience": text_bytes(cutouts[1]),
            "cutoutTemplate": text_bytes(cutouts[2]),
        }
        if self.is_mover[k]:
            mover = at - self.found.of_objects
            parts["ssSource"] = encoders.records("ssSource")[mover]
            parts["mpc_orbits"] = encoders.records("mpc_orbits")[int(self.seen.movers.mover[mover])]
        else:
            parts["diaObject"] = encoders.records("diaObject")[at]
            parts["prvDiaSources"] = self._history(k, encoders, name)
            first, last = self.forced_history[k].tolist()
            if last > first:
                rows = encoders.records("diaForcedSource").span(first, last)
                parts["prvDiaForcedSources"] = array_bytes(last - first, rows)
        self._spoil(name, encoders, k, parts, rng)
        value = encoders.prefix + encoders.alert.join(parts)
        message = SimMessage(
            survey="lsst",
            night=int(yyyymmdd(self.plan.visits.day[visit : visit + 1])[0]),
            value=value,
            version=self.plan.versions[self.version[k]],
            datum=(len(encoders.prefix), len(value)),
            visit=visit,
            alert_id=int(self.source_id[at]),
            object_id=self._object_name(k),
        )
        if name:
            return faults.damage(name, message, rng)
        return message._replace(fault=self._note(k))

    def _history(self, k: int, encoders: _Encoders, name: str) -> bytes | None:
        first, last = self.history[k].tolist()
        last -= name == "gap"
        if last <= first:
            return None
        sources = encoders.records("diaSource")
        if name != "reprocessed":
            return array_bytes(last - first, sources.span(first, last))
        flux, err = 1.03 * self.found.flux[last - 1], 0.97 * self.found.err[last - 1]
        newest = encoders.one("diaSource", self.sources, last - 1, {"psfFlux": flux, "psfFluxErr": err})
        return array_bytes(last - first, sources.span(first, last - 1) + newest)

    def _spoil(
        self, name: str, encoders: _Encoders, k: int, parts: dict[str, bytes | None], rng: np.random.Generator
    ) -> None:
        """Do the faults of the packet's contents."""
        at = int(self.source[k])
        if name in _SPOILT:
            parts["diaSource"] = encoders.one("diaSource", self.sources, at, _SPOILT[name])
        elif name.endswith("_cutout"):
            parts["cutoutDifference"] = text_bytes(spoiled_cutout(name, "nJy", rng))
        elif name == "spelling":
            none = "diaObjectId" if self.is_mover[k] else "ssObjectId"
            zeros = {none: 0, "parentDiaSourceId": 0}
            parts["diaSource"] = encoders.one("diaSource", self.sources, at, zeros, nan_is_null=False)
            if not self.is_mover[k]:
                parts["diaObject"] = encoders.one("diaObject", self.objects, at, {}, nan_is_null=False)

    def _note(self, k: int) -> Fault | None:
        """What is odd about a message that is sound."""
        if not self.plan.rates:
            return None
        if k and self.version[k] != self.version[k - 1]:
            version = self.plan.versions[self.version[k]]
            return Fault("schema_change", "ok", f"from here on packets are of schema {version}")
        if self.is_mover[k] and self.found.owner[self.source[k]] == 0:
            return Fault("zero_object", "ok", "a mover with diaObjectId 0")
        if not self.is_mover[k] and self.seen.pairs.objects.twin[self.obj[k]] >= 0:
            return faults.fault("twin")
        return None

    def _object_name(self, k: int) -> str:
        if self.is_mover[k]:
            return f"SS{self.found.mover_id[self.source[k]]}"
        return str(self.object_id[self.obj[k]])

    def truth(self) -> list[Truth]:
        """What the objects of the alerts are."""
        objects, movers = self.seen.pairs.objects, self.seen.movers
        alerts = np.bincount(self.obj[~self.is_mover], minlength=len(objects))
        rows = [
            object_truth("lsst", objects, k, str(self.object_id[k]), int(alerts[k]))
            for k in np.flatnonzero(alerts).tolist()
        ]
        alerts = np.bincount(movers.mover, minlength=len(self.seen.elements))
        first = np.full(len(alerts), len(movers))
        np.minimum.at(first, movers.mover, np.arange(len(movers)))
        for k in np.flatnonzero(alerts).tolist():
            name = f"SS{self.mover_ids[k]}"
            rows.append(mover_truth("lsst", self.seen, int(first[k]), name, self.mover_names[k], int(alerts[k])))
        return rows
