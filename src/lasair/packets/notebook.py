"""Packets for people at a keyboard: columns of a file in one call, and whole records as dictionaries."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lasair.errors import BadPacket
from lasair.packets.batch import AlertBatch, Message
from lasair.packets.decode import decode
from lasair.packets.files import read_messages
from lasair.packets.schemas import DEFAULT_REGISTRY, SchemaSource, default_cache, folders_near
from lasair.schema.model import Survey

_CUTOUTS = ("cutoutDifference", "cutoutScience", "cutoutTemplate")


def read(
    paths: Path | str | Iterable[Path | str],
    schemas: SchemaSource | Path | str | None = None,
    *,
    survey: Survey | None = None,
    strict: bool = False,
) -> AlertBatch:
    """All alerts of some packet files as one batch of columns.

    ``.to_pandas()`` and ``.to_arrow()`` of the batch give the tables to look at. Its arrays, ``.alerts["ra"]``, hold
    codes for what is no number (the band, the kind of a row, what is missing); `AlertBatch` says which.

    Parameters
    ----------
    paths
        Files or folders (recursively).
    schemas
        Where LSST's schemas come from: a folder or a source; by default a ``schemas`` folder in or beside the
        paths, the cache, then Rubin's registry.
    survey
        Which survey's alerts to return when the files hold both.
    strict
        Raise for packets that cannot be used, instead of leaving them out.

    Raises
    ------
    BadPacket
        There is no good alert; there are alerts of both surveys and `survey` does not say which; `strict` and a
        packet was refused.
    """
    places = [Path(paths)] if isinstance(paths, str | Path) else [Path(path) for path in paths]
    messages: list[Message] = []
    refused = []
    for one in read_messages(places):
        if isinstance(one, Message):
            messages.append(one)
        else:
            refused.append(one)
    batches, more = decode(messages, _source(places, schemas))
    refused += more
    if refused and strict:
        first = refused[0]
        where = f"{first.message.partition}, record {first.message.offset}"
        raise BadPacket(f"{where}: {first.reason} ({len(refused)} packets refused)")
    found = {batch.survey: batch for batch in batches if survey in (None, batch.survey)}
    if len(found) > 1:
        raise BadPacket("the files hold alerts of both surveys: say survey='lsst' or survey='ztf'")
    if not found:
        what = f"no alert of {survey}" if survey else "no alert"
        why = f"; {len(refused)} packets were refused, the first because: {refused[0].reason}" if refused else ""
        raise BadPacket(f"{what} in {', '.join(str(path) for path in places)}{why}")
    return next(iter(found.values()))


def _source(paths: list[Path], schemas: SchemaSource | Path | str | None) -> SchemaSource:
    if isinstance(schemas, SchemaSource):
        return schemas
    if schemas is not None:
        return SchemaSource([schemas])
    return SchemaSource(folders_near(paths), cache=default_cache(), registry=DEFAULT_REGISTRY)


def record(batch: AlertBatch, i: int, *, cutouts: bool = False) -> dict[str, Any]:
    """Every field of alert i as the survey sent it, decoded by fastavro from the datum that the batch holds.

    Without `cutouts` their bytes are left out (the fields are None).

    Raises
    ------
    BadPacket
        fastavro cannot read the datum (a text that is no UTF-8 in a field that the columns do not keep).
    """
    import fastavro

    start, end = (int(at) for at in batch.datum[i])
    datum = io.BytesIO(memoryview(batch.messages[i].value)[start:end])
    try:
        found = fastavro.schemaless_reader(datum, batch.schemas[i].parsed, None)
    except Exception as err:  # fastavro raises whatever its reader stumbles over
        alert_id = int(batch.alerts["alert_id"][i])
        raise BadPacket(f"alert {alert_id}: fastavro cannot read all its fields: {err}") from err
    assert isinstance(found, dict)
    if not cutouts:
        for name in _CUTOUTS:
            if name in found:
                found[name] = None
    return found
