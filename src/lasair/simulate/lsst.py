"""LSST packets: columns of the survey's records from measurements, and packets joined from encoded records."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lasair.schema.avsc import schema_id, writer_schema
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
    long_bytes,
    record_schema,
    text_bytes,
)
from lasair.simulate.images import Artist, Scenes, fits_image
from lasair.simulate.messages import Fault, SimMessage, Truth
from lasair.simulate.summaries import Summary, summarise
from lasair.simulate.visits import BANDS, lsst_visit_id, offsets_from, yyyymmdd
from lasair.sky.galactic import galactic

_MID_S = 15.0
#: images are drawn and packets joined so many at a time
_AT_ONCE = 256
_RECORDS = ("diaSource", "diaForcedSource", "diaObject", "ssSource", "mpc_orbits")
_HUGE_SIDE = 1600
Columns = dict[str, Column]


class Encoders:
    """The encoders of one schema version."""

    def __init__(self, version: str) -> None:
        schema = writer_schema("lsst", version)
        self.prefix = b"\0" + schema_id(version).to_bytes(4, "big")
        self.alert = Joiner(schema)
        self.of = {name: RecordEncoder(record_schema(schema, name)) for name in _RECORDS}


def take(columns: Mapping[str, Column], index: NDArray[np.int64]) -> Columns:
    """Some rows of a set of columns."""
    out: Columns = {}
    for name, column in columns.items():
        if isinstance(column, np.ndarray):
            out[name] = column[index]
        elif isinstance(column, Texts):
            out[name] = Texts(column.values, column.which[index])
        else:
            out[name] = column
    return out


class LsstRun:
    """One plan's LSST packets. `messages` may be walked once; `truth` holds when it has been."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.seen: Seen = see(plan)
        self._measure()
        self._choose()
        self.encoders = {version: Encoders(version) for version in plan.versions}
        self._encoded: dict[tuple[str, str], Records] = {}

    @property
    def alerts(self) -> int:
        """How many alerts there are (before copies)."""
        return len(self.alert_visit)

    def _measure(self) -> None:
        """Ids and columns of all detections (objects' first, then movers') and forced measurements."""
        plan, pairs, movers = self.plan, self.seen.pairs, self.seen.movers
        rng = plan.rng(3)
        visits = plan.visits
        mid = visits.mjd + _MID_S / 86400.0
        ra, decl, position_err = measured_position(plan, pairs, rng)
        self.det = np.flatnonzero(pairs.detected)
        n_det, n_mov = len(self.det), len(movers)
        visit = np.concatenate((pairs.visit[self.det], movers.visit))
        # ids rise with time and are unique in a run, and runs of different names or seeds keep apart
        run = zlib.crc32(f"{plan.name} {plan.seed}".encode()) & 0x3FFF
        base = (1 << 57) + ((run << 12 | plan.number) << 31)
        source_id = np.empty(n_det + n_mov, np.int64)
        source_id[np.argsort(visit, kind="stable")] = base + np.arange(n_det + n_mov)
        self.source_id = source_id

        starts = pairs.starts()
        seen = np.cumsum(pairs.detected)
        #: detections of all objects before pair k
        self.det_before = seen - pairs.detected
        self.det_first = np.concatenate((self.det_before, [n_det]))[starts[:-1]]
        first_pair = self.det[np.minimum(self.det_first, max(n_det - 1, 0))] if n_det else starts[:-1]
        self.object_id = source_id[self.det_first] if n_det else np.empty(0, np.int64)
        created = visits.day[pairs.visit[first_pair]]
        forced = visits.day[pairs.visit] > created[pairs.obj]
        self.forced = np.flatnonzero(forced)
        self.forced_upto = np.cumsum(forced)
        self.forced_first = np.concatenate((self.forced_upto - forced, [len(self.forced)]))[starts[:-1]]

        mover_err = np.maximum(lightcurves.noise(visits.depth[movers.visit], lightcurves.flux_of(movers.mag)), 1.0)
        mover_flux = lightcurves.flux_of(movers.mag) + mover_err * rng.standard_normal(n_mov)
        mover_flux = np.maximum(mover_flux, 5.05 * mover_err)
        packed_ids = self._name_movers(rng)
        shift = rng.normal(0.0, 0.02 / 3600.0, (2, n_mov))
        flux = np.concatenate((pairs.flux[self.det], mover_flux))
        err = np.concatenate((pairs.err[self.det], mover_err))
        self.flux, self.err = flux, err
        self.template = np.concatenate((pairs.template[self.det], np.zeros(n_mov)))
        self.ra = np.concatenate((ra[self.det], (movers.ephemeris.ra + shift[0]) % 360.0))
        self.decl = np.concatenate((decl[self.det], movers.ephemeris.decl + shift[1]))
        self.x = np.concatenate((pairs.x[self.det], movers.x))
        self.y = np.concatenate((pairs.y[self.det], movers.y))
        self.visit = visit
        self.detector = np.concatenate((pairs.detector[self.det], movers.detector))
        owner = np.concatenate(
            (self.object_id[pairs.obj[self.det]] if n_det else np.empty(0, np.int64), np.full(n_mov, INT_MISSING))
        )
        # a quarter of the movers' detections say 0 for their missing object
        zero = np.arange(n_det + n_mov) >= n_det
        self.zero_object = zero & (rng.random(n_det + n_mov) < 0.25)
        owner[self.zero_object] = 0
        mover_id = np.full(n_det + n_mov, INT_MISSING)
        mover_id[n_det:] = packed_ids[movers.mover]
        kind = np.concatenate((pairs.objects.kind[pairs.obj[self.det]], np.full(n_mov, sky.MOVER)))
        reliability = np.concatenate((pairs.score[self.det], 0.5 + 0.5 * rng.beta(4.0, 0.5, n_mov)))
        errors = np.concatenate((position_err[self.det], np.full(n_mov, 0.02 / 3600.0)))
        self.sources = _source_columns(
            plan,
            self,
            owner=owner,
            mover_id=mover_id,
            kind=kind,
            reliability=reliability,
            position_err=errors,
            mid=mid,
            rng=rng,
        )
        self.forced_columns = self._forced_columns(mid, rng)
        self.mid = mid

    def _name_movers(self, rng: np.random.Generator) -> NDArray[np.int64]:
        n = len(self.seen.orbits)
        run = zlib.crc32(f"{self.plan.name} {self.plan.seed} {self.plan.number}".encode()) % 9_000_000
        self.mover_names, self.mover_packed = orbits.designations((run + np.arange(n)) % 9_200_000)
        self._uncertain = np.abs(rng.normal(0.0, 1e-9, 36))
        return np.array([orbits.ss_object_id(packed) for packed in self.mover_packed], np.int64)

    def _forced_columns(self, mid: NDArray[np.float64], rng: np.random.Generator) -> Columns:
        pairs, visits, which = self.seen.pairs, self.plan.visits, self.forced
        n = len(which)
        obj, visit = pairs.obj[which], pairs.visit[which]
        run = zlib.crc32(f"{self.plan.name} {self.plan.seed} forced".encode()) & 0x3FFF
        err = pairs.err[which]
        # the same pixels measured at the object's mean position instead of the centroid
        flux = pairs.flux[which] + 0.1 * err * rng.standard_normal(n)
        return {
            "diaForcedSourceId": (1 << 58) + ((run << 12 | self.plan.number) << 31) + np.arange(n),
            "diaObjectId": self.object_id[obj],
            "ra": pairs.objects.ra[obj],
            "dec": pairs.objects.decl[obj],
            "visit": lsst_visit_id(visits)[visit],
            "detector": pairs.detector[which],
            "psfFlux": flux,
            "psfFluxErr": err,
            "midpointMjdTai": mid[visit],
            "scienceFlux": flux + pairs.template[which],
            "scienceFluxErr": 1.02 * err,
            "band": Texts(BANDS, visits.band[visit]),
            "timeProcessedMjdTai": mid[visit] + 1.0 + rng.uniform(0.0, 0.01, n),
        }

    def _choose(self) -> None:
        """The alerts in the order they are sent: by visit, then detector by detector."""
        pairs, n_det = self.seen.pairs, len(self.det)
        objects = np.flatnonzero(pairs.emit[self.det])
        which = np.concatenate((objects, np.arange(n_det, len(self.source_id))))
        order = np.lexsort((self.source_id[which], self.detector[which], self.visit[which]))
        #: position of each alert among the detections
        self.alert_source = which[order]
        self.alert_visit = self.visit[self.alert_source]
        self.is_mover = self.alert_source >= n_det
        pair = self.det[np.minimum(self.alert_source, max(n_det - 1, 0))] if n_det else np.zeros(len(which), np.int64)
        self.alert_pair = np.where(self.is_mover, -1, pair)
        # history of each alert: a range of the objects' detections and one of the forced measurements
        obj = pairs.obj[self.alert_pair] if len(pairs) else np.zeros(len(which), np.int64)
        if len(pairs):
            self.history_end = np.where(self.is_mover, 0, self.det_before[self.alert_pair])
            start = np.maximum(self.det_first[obj], self.history_end - self.plan.max_sources)
            self.history_start = np.where(self.is_mover, 0, start)
            self.forced_end = np.where(self.is_mover, 0, self.forced_upto[self.alert_pair])
            start = np.maximum(self.forced_first[obj], self.forced_end - self.plan.max_forced)
            self.forced_start = np.where(self.is_mover, 0, np.minimum(start, self.forced_end))
        else:
            self.history_end = self.history_start = self.forced_end = self.forced_start = np.zeros(len(which), np.int64)
        self.alert_obj = np.where(self.is_mover, -1, obj)
        versions = self.plan.versions
        # versions come into use one after the other, at a visit's beginning
        turn = np.searchsorted(self.alert_visit, self.alert_visit)
        self.alert_version = np.minimum(turn * len(versions) // max(len(turn), 1), len(versions) - 1)
        has_history = self.history_end > self.history_start
        self.faults = faults.plan(
            "lsst", has_history, self.is_mover, self.plan.rates, self.plan.rng(4), each=self.plan.each_fault
        )

    def _records(self, version: str, name: str) -> Records:
        """All records of one type in one version, encoded when first asked for."""
        key = (version, name)
        if key not in self._encoded:
            columns: Mapping[str, Column]
            if name == "diaSource":
                n, columns = len(self.source_id), self.sources
            elif name == "diaForcedSource":
                n, columns = len(self.forced), self.forced_columns
            elif name == "diaObject":
                n, columns = len(self.alert_source), self._object_columns()
            elif name == "ssSource":
                n, columns = len(self.seen.movers), self._ss_columns()
            else:
                n, columns = len(self.seen.orbits), self._orbit_columns()
            self._encoded[key] = self.encoders[version].of[name].encode(n, columns)
        return self._encoded[key]

    def _object_columns(self) -> Columns:
        """The object's summary as of each alert; only the band of the alert has statistics, as in the real stream."""
        if hasattr(self, "_objects"):
            return self._objects
        n_det, visits = len(self.det), self.plan.visits
        det_visit = self.visit[:n_det]
        summary: Summary = summarise(
            self.seen.pairs.obj[self.det],
            self.mid[det_visit],
            visits.band[det_visit],
            self.flux[:n_det],
            self.err[:n_det],
            self.flux[:n_det] + self.template[:n_det],
            1.02 * self.err[:n_det],
            self.ra[:n_det],
            self.decl[:n_det],
        )
        # movers have no object: their rows are encoded from the first one's numbers and never used
        at = np.where(self.is_mover, 0, self.alert_source)
        if n_det == 0:
            summary = Summary(*(np.zeros(1, column.dtype) for column in summary))
        band = visits.band[self.alert_visit]
        columns: Columns = {
            "diaObjectId": np.where(self.is_mover, 1, self.object_id[self.alert_obj] if len(self.object_id) else 1),
            "validityStartMjdTai": self.mid[self.alert_visit] + 140.0 / 86400.0,
            "ra": summary.ra[at],
            "dec": summary.decl[at],
            "raErr": 1e-5 / np.sqrt(summary.n_sources[at]),
            "decErr": 1e-5 / np.sqrt(summary.n_sources[at]),
            "ra_dec_Cov": np.full(len(at), 1e-12),
            "nDiaSources": summary.n_sources[at],
        }
        for k, letter in enumerate(BANDS):
            here = band == k
            columns[f"{letter}_psfFluxNdata"] = np.where(here, summary.n[at], 0)
            for name, values in (
                ("psfFluxMean", summary.mean),
                ("psfFluxMeanErr", summary.mean_err),
                ("psfFluxSigma", summary.sigma),
                ("psfFluxMin", summary.low),
                ("psfFluxMax", summary.high),
                ("psfFluxMaxSlope", summary.max_slope),
                ("psfFluxErrMean", summary.err_mean),
                ("scienceFluxMean", summary.science_mean),
                ("scienceFluxMeanErr", summary.science_mean_err),
            ):
                columns[f"{letter}_{name}"] = np.where(here, values[at], np.nan)
        self._objects = columns
        return columns

    def _ss_columns(self) -> Columns:
        """Circumstances of each mover's detection: au and au/d."""
        movers = self.seen.movers
        place = movers.ephemeris
        n_det = len(self.det)
        lam, beta = _ecliptic(place.ra, place.decl)
        lon, lat = galactic(place.ra, place.decl)
        east, north = offsets_from(place.ra, place.decl, self.ra[n_det:], self.decl[n_det:])
        motion = np.degrees(np.linalg.norm(np.cross(place.topo, place.topo_v), axis=1) / (place.topo**2).sum(axis=1))
        columns: Columns = {
            "diaSourceId": self.source_id[n_det:],
            "ssObjectId": np.asarray(self.sources["ssObjectId"])[n_det:],
            "designation": Texts(self.mover_names, movers.mover),
            "eclLambda": lam,
            "eclBeta": beta,
            "galLon": lon,
            "galLat": lat,
            "elongation": place.elongation,
            "phaseAngle": place.phase_angle,
            "topoRange": np.linalg.norm(place.topo, axis=1),
            "topoRangeRate": (place.topo * place.topo_v).sum(axis=1) / np.linalg.norm(place.topo, axis=1),
            "helioRange": np.linalg.norm(place.helio, axis=1),
            "helioRangeRate": (place.helio * place.helio_v).sum(axis=1) / np.linalg.norm(place.helio, axis=1),
            "ephRa": place.ra,
            "ephDec": place.decl,
            "ephVmag": self.seen.orbits.h[movers.mover] + place.v_minus_h,
            "ephRate": motion,
            "ephOffset": np.hypot(east, north) * 3600.0,
            "ephOffsetRa": east * 3600.0,
            "ephOffsetDec": north * 3600.0,
            "helio_vtot": np.linalg.norm(place.helio_v, axis=1),
            "topo_vtot": np.linalg.norm(place.topo_v, axis=1),
            "diaDistanceRank": 1,
        }
        for k, axis in enumerate("xyz"):
            columns[f"helio_{axis}"] = place.helio[:, k]
            columns[f"helio_v{axis}"] = place.helio_v[:, k]
            columns[f"topo_{axis}"] = place.topo[:, k]
            columns[f"topo_v{axis}"] = place.topo_v[:, k]
        return columns

    def _orbit_columns(self) -> Columns:
        """Orbit records; as in the real stream what is not known is 0, and dates are 1970-01-01."""
        o = self.seen.orbits
        names, packed = np.array(self.mover_names, object), np.array(self.mover_packed, object)
        texts = [orbits.orbit_document(o, k, names[k], packed[k], self._uncertain) for k in range(len(o))]
        motion = np.degrees(0.01720209895 / o.a**1.5)
        mean = np.degrees(o.mean)
        columns: Columns = {
            "id": 0,
            "designation": names,
            "packed_primary_provisional_designation": packed,
            "unpacked_primary_provisional_designation": names,
            "mpc_orb_jsonb": np.array(texts, object),
            "created_at": 0,
            "updated_at": 0,
            "fitting_datetime": 0,
            "orbit_type_int": -1,
            "u_param": 0,
            "nopp": 8,
            "arc_length_total": np.full(len(o), 4500.0),
            "arc_length_sel": np.full(len(o), 4500.0),
            "nobs_total": 400,
            "nobs_total_sel": 395,
            "a": o.a,
            "q": o.a * (1 - o.e),
            "e": o.e,
            "i": np.degrees(o.i),
            "node": np.degrees(o.node),
            "argperi": np.degrees(o.peri),
            "peri_time": o.epoch - mean / motion,
            "mean_anomaly": mean,
            "period": 360.0 / motion,
            "mean_motion": motion,
            "epoch_mjd": o.epoch,
            "h": o.h,
            "g": 0.15,
            "normalized_rms": 0.7,
            "not_normalized_rms": 0.0,
            "earth_moid": 0.0,
        }
        for name in ("yarkovsky", "srp", "a1", "a2", "a3", "dt"):
            columns[name] = columns[f"{name}_unc"] = 0.0
        for name in ("a", "q", "e", "i", "node", "argperi", "peri_time", "mean_anomaly", "period", "mean_motion"):
            columns[f"{name}_unc"] = 1e-8
        return columns

    def messages(self) -> Iterator[SimMessage]:
        """The alerts in order, faults of contents and bytes done; `faults.deliver` does those of order."""
        artist = Artist("lsst", self.plan.rng(5), extensions=self.plan.extensions)
        rng = self.plan.rng(6)
        for first in range(0, self.alerts, _AT_ONCE):
            chunk = np.arange(first, min(first + _AT_ONCE, self.alerts))
            files = artist.files(self._scenes(chunk, rng))
            for k, cutouts in zip(chunk.tolist(), files, strict=True):
                yield self._message(k, cutouts, rng)

    def _scenes(self, chunk: NDArray[np.int64], rng: np.random.Generator) -> Scenes:
        at = self.alert_source[chunk]
        visits, objects = self.plan.visits, self.seen.pairs.objects
        visit = self.visit[at]
        n = len(chunk)
        obj = self.alert_obj[chunk]
        known = obj >= 0
        safe = np.where(known, obj, 0)

        def of_object(values: NDArray[np.float64], other: float) -> NDArray[np.float64]:
            return np.where(known, values[safe], other) if len(values) else np.full(n, other)

        east, north = offsets_from(
            self.ra[at], self.decl[at], of_object(objects.host_ra, np.nan), of_object(objects.host_decl, np.nan)
        )
        # noise of a pixel from that of the flux: a PSF of s px holds 4 pi s^2 pixels' noise
        spread = visits.seeing[visit] / 0.2 / 2.3548
        sky_noise = lightcurves.flux_of(visits.depth[visit]) / 5.0
        kinds = np.where(known, objects.kind[safe], sky.MOVER) if len(objects) else np.full(n, sky.MOVER)
        return Scenes(
            flux=self.flux[at],
            star=self.template[at],
            seeing=visits.seeing[visit],
            pixel_noise=sky_noise / np.sqrt(4 * np.pi) / spread,
            host_flux=lightcurves.flux_of(of_object(objects.host_mag, np.nan)),
            host_east=east * 3600.0,
            host_north=north * 3600.0,
            host_size=of_object(objects.host_size, 1.0),
            host_ratio=of_object(objects.host_ratio, 1.0),
            host_angle=of_object(objects.host_angle, 0.0),
            dipole=(kinds == sky.BOGUS) & (at % 10 == 0),
            ra=self.ra[at],
            decl=self.decl[at],
            x=self.x[at],
            y=self.y[at],
            lot=rng.random(n),
            angle=(visit * 37.0) % 360.0,
        )

    def _message(self, k: int, cutouts: tuple[bytes, bytes, bytes], rng: np.random.Generator) -> SimMessage:
        version = self.plan.versions[self.alert_version[k]]
        encoders = self.encoders[version]
        name = faults.NAMES[self.faults[k]] if self.faults[k] >= 0 else ""
        at, visit = int(self.alert_source[k]), int(self.alert_visit[k])
        field = int(self.plan.visits.field[visit])
        reason = self.plan.fields.reason[field]
        sources = self._records(version, "diaSource")
        parts: dict[str, bytes | None] = {
            "diaSourceId": long_bytes(int(self.source_id[at])),
            "observation_reason": text_bytes(reason),
            "target_name": text_bytes(f"{reason}, lowdust" if reason.startswith("ddf") else "lowdust"),
            "diaSource": sources[at],
            "cutoutDifference": text_bytes(cutouts[0]),
            "cutoutScience": text_bytes(cutouts[1]),
            "cutoutTemplate": text_bytes(cutouts[2]),
        }
        if self.is_mover[k]:
            mover = at - len(self.det)
            parts["ssSource"] = self._records(version, "ssSource")[mover]
            parts["mpc_orbits"] = self._records(version, "mpc_orbits")[int(self.seen.movers.mover[mover])]
        else:
            parts["diaObject"] = self._records(version, "diaObject")[k]
            first, last = int(self.history_start[k]), int(self.history_end[k])
            if name == "gap":
                last -= 1
            if last > first:
                history = sources.span(first, last)
                if name == "reprocessed":
                    history = sources.span(first, last - 1) + self._reprocessed(version, last - 1)
                parts["prvDiaSources"] = array_bytes(last - first, history)
            first, last = int(self.forced_start[k]), int(self.forced_end[k])
            if last > first:
                parts["prvDiaForcedSources"] = array_bytes(
                    last - first, self._records(version, "diaForcedSource").span(first, last)
                )
        if name in _CONTENTS:
            self._spoil(name, version, k, parts, rng)
        datum = encoders.alert.join(parts)
        value = encoders.prefix + datum
        message = SimMessage(
            "lsst",
            int(yyyymmdd(self.plan.visits.day[visit : visit + 1])[0]),
            value,
            version,
            (len(encoders.prefix), len(value)),
            visit,
            int(self.source_id[at]),
            self._object_name(k),
        )
        if name:
            return faults.damage(name, message, rng)
        if k and self.alert_version[k] != self.alert_version[k - 1]:
            return message._replace(fault=Fault("schema_change", "ok", f"from here on schema {version}"))
        if self.zero_object[at] and self.plan.rates:
            return message._replace(fault=Fault("zero_object", "ok", "a mover with diaObjectId 0"))
        if not self.is_mover[k] and self.seen.pairs.objects.twin[self.alert_obj[k]] >= 0 and self.plan.rates:
            return message._replace(fault=faults.fault("twin"))
        return message

    def _object_name(self, k: int) -> str:
        if self.is_mover[k]:
            return f"SS{int(np.asarray(self.sources['ssObjectId'])[self.alert_source[k]])}"
        return str(int(self.object_id[self.alert_obj[k]]))

    def _one(self, version: str, columns: Mapping[str, Column], at: int, changes: Mapping[str, Any]) -> bytes:
        """One source encoded anew with some values changed."""
        row = take(columns, np.array([at]))
        row.update({name: np.array([value]) for name, value in changes.items()})
        return self.encoders[version].of["diaSource"].encode(1, row)[0]

    def _reprocessed(self, version: str, at: int) -> bytes:
        return self._one(
            version, self.sources, at, {"psfFlux": 1.03 * self.flux[at], "psfFluxErr": 0.97 * self.err[at]}
        )

    def _spoil(self, name: str, version: str, k: int, parts: dict[str, bytes | None], rng: np.random.Generator) -> None:
        """Faults of the packet's contents."""
        at = int(self.alert_source[k])
        changes = {
            "future_time": {"midpointMjdTai": 99_999.5},
            "bad_position": {"dec": 123.0},
            "infinite_snr": {"snr": np.inf},
        }
        if name in changes:
            parts["diaSource"] = self._one(version, self.sources, at, changes[name])
        elif name == "spelling":
            row = take(self.sources, np.array([at]))
            row["parentDiaSourceId"] = 0
            if self.is_mover[k]:
                row["diaObjectId"] = 0
            else:
                row["ssObjectId"] = 0
                summary = take(self._object_columns(), np.array([k]))
                parts["diaObject"] = self.encoders[version].of["diaObject"].encode(1, summary, nan_is_null=False)[0]
            parts["diaSource"] = self.encoders[version].of["diaSource"].encode(1, row, nan_is_null=False)[0]
        elif name == "huge_cutout":
            parts["cutoutDifference"] = text_bytes(
                fits_image(rng.standard_normal((_HUGE_SIDE, _HUGE_SIDE), np.float32))
            )
        elif name == "large_cutout":
            parts["cutoutDifference"] = text_bytes(fits_image(rng.standard_normal((100, 100), np.float32)))
        elif name == "broken_cutout":
            parts["cutoutDifference"] = text_bytes(b"SIMPLX" + rng.bytes(2874))
        else:
            parts["cutoutDifference"] = text_bytes(b"")

    def truth(self) -> list[Truth]:
        """What the objects of the alerts are."""
        objects = self.seen.pairs.objects
        counts = np.bincount(self.alert_obj[~self.is_mover], minlength=len(objects))
        rows = [
            _truth_of(objects, k, "lsst", str(int(self.object_id[k])), int(counts[k]))
            for k in np.flatnonzero(counts).tolist()
        ]
        sightings = self.seen.movers.mover[self.alert_source[self.is_mover] - len(self.det)]
        counts = np.bincount(sightings, minlength=len(self.seen.orbits))
        ids = np.asarray(self.sources["ssObjectId"])[len(self.det) :]
        for k in np.flatnonzero(counts).tolist():
            at = int(np.flatnonzero(self.seen.movers.mover == k)[0])
            place = self.seen.movers.ephemeris
            rows.append(
                Truth(
                    "lsst", f"SS{int(ids[at])}", "mover", float(place.ra[at]), float(place.decl[at]),
                    float(self.seen.orbits.h[k]), None, None, None, None, None, None, self.mover_names[k], int(counts[k]),
                )
            )  # fmt: skip
        return rows


_CONTENTS = frozenset(
    (
        "future_time",
        "bad_position",
        "infinite_snr",
        "spelling",
        "huge_cutout",
        "large_cutout",
        "broken_cutout",
        "empty_cutout",
    )
)


def _truth_of(objects: sky.Objects, k: int, survey: Any, object_id: str, alerts: int, designation: str = "") -> Truth:
    def number(values: NDArray[np.float64]) -> float | None:
        value = float(values[k])
        return value if np.isfinite(value) else None

    return Truth(
        survey,
        object_id,
        sky.CLASSES[objects.kind[k]],
        float(objects.ra[k]),
        float(objects.decl[k]),
        number(objects.mag),
        number(objects.period),
        number(objects.peak),
        number(objects.redshift),
        number(objects.host_ra),
        number(objects.host_decl),
        number(objects.host_mag),
        designation,
        alerts,
    )


def _ecliptic(ra: NDArray[np.float64], decl: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ecliptic longitude and latitude [deg], J2000."""
    a, d, e = np.radians(ra), np.radians(decl), np.radians(23.4392911)
    lam = np.arctan2(np.sin(a) * np.cos(e) + np.tan(d) * np.sin(e), np.cos(a))
    beta = np.arcsin(np.sin(d) * np.cos(e) - np.cos(d) * np.sin(e) * np.sin(a))
    return np.degrees(lam) % 360.0, np.degrees(beta)


def _source_columns(
    plan: Plan,
    run: LsstRun,
    *,
    owner: NDArray[np.int64],
    mover_id: NDArray[np.int64],
    kind: NDArray[np.int64],
    reliability: NDArray[np.float64],
    position_err: NDArray[np.float64],
    mid: NDArray[np.float64],
    rng: np.random.Generator,
) -> Columns:
    """Columns of diaSource for all detections."""
    visits = plan.visits
    n = len(run.source_id)
    flux, err, visit = run.flux, run.err, run.visit
    snr = np.abs(flux) / err
    moment = (visits.seeing[visit] / 2.3548) ** 2
    bogus = kind == sky.BOGUS
    dipole = bogus & (np.arange(n) % 10 == 0)

    def normal(
        scale: float | NDArray[np.float64] = 1.0, mean: float | NDArray[np.float64] = 0.0
    ) -> NDArray[np.float64]:
        return mean + scale * rng.standard_normal(n)

    def rare(chance: float) -> NDArray[np.bool_]:
        return rng.random(n) < chance

    interpolated = rare(0.06) | (bogus & rare(0.2))
    columns: Columns = {
        "diaSourceId": run.source_id,
        "visit": lsst_visit_id(visits)[visit],
        "detector": run.detector,
        "diaObjectId": owner,
        "ssObjectId": mover_id,
        "midpointMjdTai": mid[visit],
        "exposureTime": 30.0,
        "ra": run.ra,
        "raErr": position_err,
        "dec": run.decl,
        "decErr": position_err * 0.97,
        "ra_dec_Cov": position_err**2 * 0.1,
        "x": run.x,
        "xErr": position_err * 3600.0 / 0.2,
        "y": run.y,
        "yErr": position_err * 3600.0 / 0.2,
        "apFlux": normal(1.5 * err, flux),
        "apFluxErr": 1.6 * err,
        "isNegative": flux < 0,
        "snr": snr,
        "psfFlux": flux,
        "psfFluxErr": err,
        "psfChi2": normal(60.0, 1700.0),
        "psfNdata": 1681,
        "trailFlux": 1.05 * flux,
        "trailFluxErr": np.abs(normal(1.0, 2.0)),
        "trailRa": run.ra,
        "trailDec": run.decl,
        "trailLength": rng.uniform(0.7, 1.8, n),
        "trailAngle": rng.uniform(-180.0, 180.0, n),
        "trailNdata": 0,
        "trailAlgorithm": 2,
        "dipoleNdata": 0,
        "dipoleMeanFlux": np.where(dipole, 0.95 * flux, np.nan),
        "dipoleMeanFluxErr": np.where(dipole, err, np.nan),
        "dipoleFluxDiff": np.where(dipole, 0.1 * flux, np.nan),
        "dipoleFluxDiffErr": np.where(dipole, 1.4 * err, np.nan),
        "dipoleLength": np.where(dipole, 0.45, np.nan),
        "dipoleAngle": np.where(dipole, rng.uniform(-180.0, 180.0, n), np.nan),
        "dipoleChi2": np.where(dipole, 1700.0, np.nan),
        "scienceFlux": flux + run.template,
        "scienceFluxErr": 1.02 * err,
        "templateFlux": normal(0.06 * err, run.template),
        "templateFluxErr": 0.06 * err,
        "ixx": moment * np.exp(normal(0.1)),
        "iyy": moment * np.exp(normal(0.1)),
        "ixy": moment * normal(0.05),
        "ixxPSF": moment,
        "iyyPSF": moment * 1.02,
        "ixyPSF": moment * 0.02,
        "extendedness": np.clip(normal(0.01, 0.005) + 0.8 * (bogus & rare(0.3)), 0.0, 1.0),
        "reliability": reliability,
        "reliabilityVersion": "simulated",
        "band": Texts(BANDS, visits.band[visit]),
        "isDipole": dipole,
        "dipoleFitAttempted": dipole,
        "timeProcessedMjdTai": mid[visit] + normal(12.0, 149.0) / 86400.0,
        "bboxSize": rng.integers(30, 40, n),
        "pixelFlags_interpolated": interpolated,
        "pixelFlags_interpolatedCenter": interpolated & rare(0.3),
        "pixelFlags_saturated": bogus & rare(0.1),
        "pixelFlags_edge": rare(0.005),
    }
    for name in _FLAGS:
        columns.setdefault(name, False)
    return columns


_FLAGS = [
    "centroid_flag",
    "apFlux_flag",
    "apFlux_flag_apertureTruncated",
    "psfFlux_flag",
    "psfFlux_flag_edge",
    "psfFlux_flag_noGoodPixels",
    "trail_flag",
    "trail_flag_edge",
    "forced_PsfFlux_flag",
    "forced_PsfFlux_flag_edge",
    "forced_PsfFlux_flag_noGoodPixels",
    "shape_flag",
    "shape_flag_no_pixels",
    "shape_flag_not_contained",
    "shape_flag_parent_source",
    "pixelFlags",
    "pixelFlags_bad",
    "pixelFlags_cr",
    "pixelFlags_crCenter",
    "pixelFlags_nodata",
    "pixelFlags_nodataCenter",
    "pixelFlags_offimage",
    "pixelFlags_saturatedCenter",
    "pixelFlags_suspect",
    "pixelFlags_suspectCenter",
    "pixelFlags_streak",
    "pixelFlags_streakCenter",
    "pixelFlags_injected",
    "pixelFlags_injectedCenter",
    "pixelFlags_injected_template",
    "pixelFlags_injected_templateCenter",
    "glint_trail",
]
