"""Objects classified again after a catalogue or the rules have changed: only what has changed is looked at again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from lasair.catalogues.sky import Sky
from lasair.filter.evaluate import SHERLOCK
from lasair.schema.model import SURVEYS, Survey
from lasair.sherlock.candidates import Near, Part, look, recall
from lasair.sherlock.engine import Sherlock
from lasair.sherlock.stage import answer_rows, as_table, encode_candidates, part_key, version_text
from lasair.stores.classifications import Classified
from lasair.stores.protocols import ClassificationStore, ObjectStore, Versions

#: More rows of a light curve than any alert sends: what is said again replaces what the same alert was told before.
_AFTER_ALL = 2**62


class Changed(NamedTuple):
    """Objects of one survey whose class is another one now."""

    survey: Survey
    #: what was said of each before, and now
    before: list[Classified]
    now: list[Classified]


def refresh(
    engine: Sherlock,
    store: ClassificationStore,
    objects: ObjectStore,
    *,
    progress: Callable[[int], None] | None = None,
) -> Iterator[Changed]:
    """Classify again every object that was never asked about under the engine's version; yields what has changed.

    Of a catalogue whose release is still the same, the sources found before are used again, without a cone. Stopped at
    any point, it goes on there when it is called again.
    """
    text = version_text(engine)
    number = store.version(text)
    for survey in SURVEYS:
        for rows in store.outdated(survey, number):
            by_version: defaultdict[str, list[Classified]] = defaultdict(list)
            for before, row in rows:
                by_version[before].append(row)
            for before, ones in by_version.items():
                yield from _again(engine, store, objects, survey, number, changed_catalogues(before, text), ones)
            if progress is not None:
                progress(len(rows))


def changed_catalogues(before: str, now: str) -> set[str] | None:
    """Catalogues that differ between two versions; None when engine or rules do, so that nothing can be used again."""
    old, new = (dict(part.split("=", 1) for part in text.split(" ")) for text in (before, now))
    if any(old.get(name) != new.get(name) for name in ("engine", "rules")):
        return None
    return {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}


def _again(
    engine: Sherlock,
    store: ClassificationStore,
    objects: ObjectStore,
    survey: Survey,
    number: int,
    changed: set[str] | None,
    rows: Sequence[Classified],
) -> Iterator[Changed]:
    sky = Sky([row.ra for row in rows], [row.decl for row in rows])
    epoch = np.array([row.epoch for row in rows])
    kept = [orjson.loads(row.candidates) for row in rows]
    found: list[tuple[Part, Near]] = []
    for part in engine.parts:
        if changed is None or part.release.name in changed:
            found.append((part, look(part, sky, engine.rules, epoch, engine.names)))
        else:
            found.append((part, recall(part, engine.rules, epoch, *_kept(kept, part_key(part)))))
    answers = engine.decide(sky, found)
    encoded, said = encode_candidates(found, len(sky)), answer_rows(answers)
    new = [
        row._replace(klass=one[0], answer=orjson.dumps(one), candidates=blob)
        for row, one, blob in zip(rows, said, encoded, strict=True)
    ]
    ids = np.array([row.object_id for row in rows], np.int64)
    columns = as_table(survey, ids, np.arange(len(rows)), said)
    versions = Versions(
        np.array([row.mjd_tai for row in rows]),
        np.array([row.alert_id for row in rows], np.int64),
        np.full(len(rows), _AFTER_ALL, np.int64),
    )
    # the database first: a refresh that is stopped between the two says it again
    objects.put(survey, SHERLOCK, columns, versions)
    store.put(survey, number, new)
    others = [(row, one) for row, one in zip(rows, new, strict=True) if row.klass != one.klass]
    if others:
        yield Changed(survey, [row for row, _ in others], [one for _, one in others])


def _kept(kept: Sequence[dict[str, list[int]]], key: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(position, row) of what was kept of one part."""
    counts = [len(one.get(key, ())) for one in kept]
    row = np.array([row for one in kept for row in one.get(key, ())], np.int64)
    return np.repeat(np.arange(len(kept)), counts), row
