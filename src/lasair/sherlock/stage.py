"""The stage of the pipeline: every object of a batch classified, from what is kept where nothing has changed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from lasair.catalogues.sky import Sky
from lasair.config import Settings
from lasair.filter.evaluate import SHERLOCK
from lasair.filter.features.position import mean_position
from lasair.filter.features.ragged import strided
from lasair.filter.features.ztf_detections import ztf_detections
from lasair.packets.batch import AlertBatch, Columns
from lasair.packets.ids import object_names
from lasair.schema.model import DETECTION, INT_MISSING, Survey, object_key, table
from lasair.schema.rows import column_of
from lasair.sherlock.answers import LITE, Answers
from lasair.sherlock.candidates import Near, Part
from lasair.sherlock.engine import Sherlock
from lasair.sherlock.open import LiveEngine
from lasair.sherlock.text import descriptions, summaries
from lasair.stores.classifications import Classified
from lasair.stores.open import Stores
from lasair.stores.protocols import ClassificationStore
from lasair.times import julian_year

#: Epochs are taken to this step [yr]: too little for all but a few stars to move by as much as 0.1".
EPOCH_STEP_YEARS = 0.05
#: Column of the answer -> column of the table, where they differ.
_RENAMED = {"sm_axis_arcsec": "major_axis_arcsec"}


def sherlock_stage(settings: Settings, stores: Stores) -> SherlockStage:
    """The stage over the catalogues of an installation."""
    engine = LiveEngine(settings.catalogues(stores.path))
    return SherlockStage(engine, stores.classifications, singletons=settings.sherlock_singletons)


class SherlockStage:
    """Fills ``batch.tables["sherlock_classifications"]``; leaves the batch as it is where no catalogue is installed.

    What was said is kept by object, position, epoch and version (rules and releases of all catalogues), and said again
    when all are equal: the answer depends on nothing else, hence on no order of alerts.

    Parameters
    ----------
    engine : follows the folder of catalogues
    store : keeps what was said
    singletons : classify objects with a single detection too
    """

    def __init__(self, engine: LiveEngine, store: ClassificationStore, *, singletons: bool = True) -> None:
        self._engine, self._store, self._singletons = engine, store, singletons
        self._version: tuple[str, int] = ("", 0)

    def __call__(self, batch: AlertBatch) -> AlertBatch:
        engine = self._engine.get()
        if not engine.names or not len(batch):
            return batch
        text = version_text(engine)
        if self._version[0] != text:
            self._version = (text, self._store.version(text))
        wanted = np.arange(len(batch)) if self._singletons else np.flatnonzero(_detections(batch) > 1)
        ra, decl = positions(batch)
        epoch = np.round(julian_year(batch.alerts["mjd_tai"]) / EPOCH_STEP_YEARS) * EPOCH_STEP_YEARS
        good = np.isfinite(ra[wanted]) & np.isfinite(decl[wanted]) & (batch.alerts["object_id"][wanted] != INT_MISSING)
        wanted = wanted[good]
        asked = np.stack(
            (batch.alerts["object_id"][wanted].astype(np.float64), ra[wanted], decl[wanted], epoch[wanted])
        )
        _, first, place = np.unique(asked, axis=1, return_index=True, return_inverse=True)
        rows = self._said(engine, batch, wanted[first], ra, decl, epoch)
        batch.tables[SHERLOCK] = as_table(
            batch.survey, batch.alerts["object_id"], wanted, [rows[i] for i in place.ravel()]
        )
        return batch

    def _said(
        self,
        engine: Sherlock,
        batch: AlertBatch,
        at: NDArray[np.int64],
        ra: NDArray[np.float64],
        decl: NDArray[np.float64],
        epoch: NDArray[np.float64],
    ) -> list[list[Any]]:
        """The answers for alerts at indices, each as values of ANSWER; new ones are kept."""
        number = self._version[1]
        ids = batch.alerts["object_id"][at].tolist()
        places = list(zip(ra[at].tolist(), decl[at].tolist(), epoch[at].tolist(), strict=True))
        known = self._store.get(batch.survey, number, list(set(ids)))
        found: list[list[Any] | None] = []
        for one, asked in zip(ids, places, strict=True):
            before = known.get(one)
            same = before is not None and (before.ra, before.decl, before.epoch) == asked
            found.append(orjson.loads(before.answer) if before is not None and same else None)
        new = np.array([i for i, one in enumerate(found) if one is None], np.int64)
        if len(new):
            where = at[new]
            answers, encoded = ask(engine, ra[where], decl[where], epoch[where])
            rows = answer_rows(answers)
            mjd, alert_ids = batch.alerts["mjd_tai"][where].tolist(), batch.alerts["alert_id"][where].tolist()
            keep = []
            for k, i in enumerate(new.tolist()):
                found[i] = rows[k]
                row_ra, row_decl, row_epoch = places[i]
                keep.append(
                    Classified(
                        ids[i], mjd[k], alert_ids[k], row_ra, row_decl, row_epoch,
                        rows[k][0], orjson.dumps(rows[k]), encoded[k],
                    )
                )  # fmt: skip
            self._store.put(batch.survey, number, keep)
        return [one for one in found if one is not None]


#: Values of an answer as it is kept: class, sentence, summary, who said it, then the lite answer.
ANSWER = ("classification", "description", "summary", "annotator", *(_RENAMED.get(name, name) for name in LITE))


def ask(
    engine: Sherlock, ra: NDArray[np.float64], decl: NDArray[np.float64], epoch: NDArray[np.float64]
) -> tuple[Answers, list[bytes]]:
    """The answers at positions, and the candidates of each as they are kept."""
    sky = Sky(ra, decl)
    found = engine.candidates(sky, engine.years(epoch, len(sky)))
    return engine.decide(sky, found), encode_candidates(found, len(sky))


def encode_candidates(found: Sequence[tuple[Part, Near]], n: int) -> list[bytes]:
    """Candidates of every position as JSON {part: [rows]}: what is needed to apply the rules again without a cone."""
    kept: list[dict[str, list[int]]] = [{} for _ in range(n)]
    for part, near in found:
        if not len(near.position):
            continue
        starts = np.flatnonzero(np.concatenate(([True], near.position[1:] != near.position[:-1])))
        for position, rows in zip(near.position[starts].tolist(), np.split(near.row, starts[1:]), strict=True):
            kept[position][part_key(part)] = rows.tolist()
    return [orjson.dumps(one) for one in kept]


def part_key(part: Part) -> str:
    """Name of a part in what is kept."""
    return part.release.name + ("*" if part.wide is not None else "")


def answer_rows(answers: Answers) -> list[list[Any]]:
    """Every answer as values of ANSWER, None for what is missing."""
    columns = answers.columns()
    best = [values.tolist() for values in columns.values()]
    nothing: list[Any] = [None] * len(best)
    sources = iter(zip(*best, strict=True))
    annotator = annotator_of(answers.engine)
    found = []
    classes, texts, short = answers.classes.tolist(), descriptions(answers), summaries(answers)
    for klass, text, words, has in zip(classes, texts, short, (answers.best >= 0).tolist(), strict=True):
        row = [None if value != value or value == "" else value for value in next(sources)] if has else nothing
        found.append([klass, text, words, annotator, *row])
    return found


def as_table(
    survey: Survey, object_ids: NDArray[np.int64], at: NDArray[np.int64], rows: Sequence[Sequence[Any]]
) -> Columns:
    """Answers of the alerts at indices as the table `sherlock_classifications`, one row an alert; others are NULL."""
    key = object_key(survey)
    n = len(object_ids)
    said: list[Sequence[Any] | None] = [None] * n
    for i, row in zip(at.tolist(), rows, strict=True):
        said[i] = row
    place = {name: i for i, name in enumerate(ANSWER)} | {"distance": ANSWER.index("best_distance")}
    found: Columns = {}
    for column in table(SHERLOCK, survey).columns:
        if column.name == key:
            found[key] = object_names(survey, object_ids)
        else:
            i = place.get(column.name)
            found[column.name] = column_of(column, [None if row is None or i is None else row[i] for row in said])
    return found


def version_text(engine: Sherlock) -> str:
    """Rules and releases in one line: equal texts give equal answers."""
    return " ".join(f"{name}={release}" for name, release in engine.version.items())


def annotator_of(engine: Sherlock) -> str:
    """Who said it, for the column `annotator`: rules, and a hash of the releases that `lasair catalogue list` shows."""
    digest = hashlib.sha256(version_text(engine).encode()).hexdigest()[:8]
    return f"lasair-sherlock:{engine.rules.id}:{digest}"


def positions(batch: AlertBatch) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where each alert's object is, (n,) twice [deg]: LSST's mean position, for ZTF the mean of the detections sent."""
    alerts = batch.alerts
    ra, decl = np.array(alerts["ra"], np.float64), np.array(alerts["decl"], np.float64)
    if batch.survey == "ztf":
        mean = mean_position(ztf_detections(batch, 0.0))
        better, mean_ra, mean_decl = np.isfinite(mean["ramean"]), mean["ramean"], mean["decmean"]
    else:
        mean_ra, mean_decl = np.array(alerts["object_ra"], np.float64), np.array(alerts["object_decl"], np.float64)
        better = np.isfinite(mean_ra) & np.isfinite(mean_decl)
    ra[better], decl[better] = mean_ra[better] % 360.0, mean_decl[better]
    return ra, decl


def _detections(batch: AlertBatch) -> NDArray[np.int64]:
    detection = strided(batch.rows)["kind"] == DETECTION
    return np.add.reduceat(np.append(detection, False).astype(np.int64), batch.offsets[:-1]) * (
        np.diff(batch.offsets) > 0
    )
