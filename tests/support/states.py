"""What a state folder holds, without what may differ between two runs (times of processing)."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

from lasair.ledger.store import Ledger
from lasair.stores.hits import HIT_TABLES


def _rows(database: Path, table: str, leave_out: tuple[str, ...]) -> list[tuple[Any, ...]]:
    with sqlite3.connect(database) as connection:
        names = [row[1] for row in connection.execute(f'PRAGMA table_info("{table}")') if row[1] not in leave_out]
        return sorted(
            connection.execute(f'SELECT {", ".join(chr(34) + n + chr(34) for n in names)} FROM "{table}"').fetchall(),
            key=repr,
        )


def content(state: Path) -> dict[str, Any]:
    """Everything a user could see in a state folder, comparable with ==."""
    ledger = Ledger(state / "ledger.db", durable=False)
    streams: dict[str, Counter[str]] = {}
    for topic in ledger.topics():
        found: Counter[str] = Counter()
        for message in ledger.read_topic(topic.topic):
            record = json.loads(message.payload)
            # when it was processed, and what example filters compute from mjdnow()
            for name in ("UTC", "times", "age"):
                record.pop(name, None)
            found[json.dumps(record, sort_keys=True)] += 1
        streams[topic.topic] = found
    total: dict[str, int] = {}
    for counts in ledger.books().values():
        for name, value in vars(counts).items():
            total[name] = total.get(name, 0) + value
    letters = sorted((one.partition, one.offset, one.reason) for one in ledger.dead_letters())
    wrong = ledger.audit()
    ledger.close()
    objects = {table: _rows(state / "objects.db", table, ("timestamp",)) for table in ("lsst_objects", "ztf_objects")}
    hits = {
        f"{survey}_{table}": _rows(state / "objects.db", f"{survey}_{table}", ())
        for survey in ("lsst", "ztf")
        for table, _ in HIT_TABLES.values()
    }
    curves = hashlib.sha256()
    for file in sorted((state / "lightcurves").rglob("*.db")):
        with sqlite3.connect(file) as connection:
            for (table,) in connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
            ).fetchall():
                for row in sorted(connection.execute(f'SELECT * FROM "{table}"').fetchall(), key=repr):
                    curves.update(repr(row).encode())
    return {
        "total": total,
        "wrong": wrong,
        "letters": letters,
        "streams": streams,
        "objects": objects,
        "hits": hits,
        "curves": curves.hexdigest(),
    }
