"""A simulation as a folder: packets by survey and night, schemas, what is true, what is wrong.

::

    schemas/lsst.v11_1.alert.avsc     our description of the schemas in use
    lsst/20260302/0001.avro           containers of many records, in the order they were sent
    lsst/20260302/0001-017.bin        a damaged message, alone in its file (ZTF: .avro)
    sky/gaia.parquet ...              catalogues of the sky, in the columns of the real ones
    truth.csv                         what each object is, and what Sherlock should say of it (`context`)
    faults.csv                        which record has what wrong with it, and what a broker must make of it
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from lasair.errors import StoreUnavailable
from lasair.schema.avsc import writer_schema
from lasair.schema.model import Survey
from lasair.simulate.context import SkyOf
from lasair.simulate.encode import block, container_header, sync_marker
from lasair.simulate.messages import SimMessage, Truth
from lasair.simulate.profiles import FIRST_NIGHT, Progress, Simulation

#: where the catalogues of the sky are
SKY_FOLDER = "sky"
#: keeps what is drawn for the catalogues apart from what is drawn for the packets
_CONTEXT_SEED = 7

#: records in a container file, bytes in one of its blocks
_RECORDS_A_FILE = 1000
_BLOCK_BYTES = 1 << 20

TRUTH_COLUMNS = (
    "survey", "object_id", "class", "ra", "decl", "mag", "period_d", "peak_mjd", "redshift", "host_ra", "host_decl",
    "host_mag", "designation", "alerts", "context",
)  # fmt: skip
FAULT_COLUMNS = ("file", "index", "survey", "alert_id", "object_id", "fault", "expected", "detail")


@dataclass
class Summary:
    """What was written."""

    folder: Path
    profile: str
    seed: int
    messages: Counter[str] = field(default_factory=Counter)
    objects: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    #: messages that a broker must refuse, and second copies
    refused: int = 0
    duplicates: int = 0
    files: int = 0
    bytes: int = 0

    @property
    def total(self) -> int:
        """Messages of both surveys."""
        return sum(self.messages.values())

    def __str__(self) -> str:
        parts = ", ".join(f"{count:,} {survey.upper()}" for survey, count in sorted(self.messages.items()))
        return (
            f"{self.total:,} alerts ({parts}) of {sum(self.objects.values()):,} objects in {self.files:,} files, "
            f"{self.bytes / 1e6:,.0f} MB, in {self.folder}; {self.refused} of them damaged or impossible, "
            f"{self.duplicates} second copies"
        )


def write(
    profile: str,
    folder: Path | str,
    *,
    seed: int = 1,
    n: int | None = None,
    rates: Mapping[str, float] | None = None,
    first_night: int = FIRST_NIGHT,
    progress: Progress | None = None,
) -> Summary:
    """Write a profile's packets to a folder (made when needed); arguments as for `profiles.Simulation`.

    Raises
    ------
    ValueError
        There is no such profile, fault or date.
    StoreUnavailable
        The folder holds packets already, or cannot be written.
    """
    folder = Path(folder)
    simulation = Simulation(profile, seed=seed, n=n, rates=rates, first_night=first_night)
    if any((folder / name).exists() for name in ("lsst", "ztf", "truth.csv")):
        raise StoreUnavailable(f"{folder} holds simulated packets already: name another folder, or remove it")
    summary = Summary(folder, profile, seed)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (
            _table(folder / "truth.csv", TRUTH_COLUMNS) as truth,
            _table(folder / "faults.csv", FAULT_COLUMNS) as faults,
        ):
            containers = _Containers(folder, seed, summary)
            epoch = first_night // 10_000 + (first_night // 100 % 100 - 0.5) / 12.0
            listed = SkyOf(np.random.default_rng([seed, _CONTEXT_SEED]), epoch)
            for message in simulation.messages(progress):
                for one in simulation.take_truth():
                    truth.writerow([*_truth_row(one), listed.add(one)])
                    summary.objects[one.kind] += 1
                file, index = containers.add(message)
                _count(summary, message)
                if message.fault is not None:
                    name, expected, detail = message.fault
                    row = (message.survey, message.alert_id, message.object_id, name, expected, detail)
                    faults.writerow((file, index, *row))
            containers.close()
            listed.write(folder / SKY_FOLDER)
    except OSError as err:
        raise StoreUnavailable(f"cannot write to {folder}: {err.strerror or err}") from err
    return summary


@contextmanager
def _table(path: Path, columns: tuple[str, ...]) -> Iterator[Any]:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        yield writer


def _truth_row(one: Truth) -> list[Any]:
    return ["" if value is None else f"{value:.7f}" if isinstance(value, float) else value for value in one]


def _count(summary: Summary, message: SimMessage) -> None:
    summary.messages[message.survey] += 1
    if message.fault is not None:
        summary.faults[message.fault.name] += 1
        summary.refused += message.fault.expected == "refused"
        summary.duplicates += message.fault.expected == "duplicate"


class _Containers:
    """Container files, one open a survey; a new one when night or schema change, or when one is full."""

    def __init__(self, folder: Path, seed: int, summary: Summary) -> None:
        self._folder = folder
        self._seed = seed
        self._summary = summary
        self._open: dict[Survey, _Container] = {}
        self._numbers: Counter[tuple[Survey, int]] = Counter()
        self._headers: dict[tuple[Survey, str], bytes] = {}

    def add(self, message: SimMessage) -> tuple[str, int]:
        """(file, index) of where the message has gone."""
        survey, night = message.survey, message.night
        current = self._open.get(survey)
        if current is not None and message.datum is None:
            return self._alone(message, current.path.with_suffix("")), 0
        key = (night, message.version)
        if current is None or current.key != key or current.count >= _RECORDS_A_FILE:
            if current is not None:
                self._finish(current)
            current = self._open[survey] = self._new(survey, night, message.version)
            if message.datum is None:
                return self._alone(message, current.path.with_suffix("")), 0
        if message.datum is not None:
            start, end = message.datum
            current.add(message.value[start:end])
        return str(current.path.relative_to(self._folder)), current.count - 1

    def _alone(self, message: SimMessage, beside: Path) -> str:
        """A message that is no record gets a file of its own, named after the container it would have been in."""
        current = self._open[message.survey]
        current.alone += 1
        path = beside.with_name(f"{beside.name}-{current.count:04d}-{current.alone:02d}")
        path = path.with_suffix(".bin" if message.survey == "lsst" else ".avro")
        path.write_bytes(message.value)
        self._summary.files += 1
        self._summary.bytes += len(message.value)
        return str(path.relative_to(self._folder))

    def _new(self, survey: Survey, night: int, version: str) -> _Container:
        schema = writer_schema(survey, version)
        sync = sync_marker(survey, version, self._seed)
        header = self._headers.get((survey, version))
        if header is None:
            header = self._headers[survey, version] = container_header(schema, sync)
            schemas = self._folder / "schemas"
            schemas.mkdir(exist_ok=True)
            name = f"{survey}.v{version.replace('.', '_')}.alert.avsc"
            (schemas / name).write_text(json.dumps(schema, indent=1) + "\n", encoding="utf-8")
        self._numbers[survey, night] += 1
        path = self._folder / survey / str(night) / f"{self._numbers[survey, night]:04d}.avro"
        path.parent.mkdir(parents=True, exist_ok=True)
        self._summary.files += 1
        return _Container(path, header, sync, (night, version))

    def _finish(self, container: _Container) -> None:
        container.close()
        self._summary.bytes += container.bytes

    def close(self) -> None:
        for container in self._open.values():
            self._finish(container)
        self._open.clear()


class _Container:
    """One container file without compression, blocks of about a megabyte."""

    def __init__(self, path: Path, header: bytes, sync: bytes, key: tuple[int, str]) -> None:
        self.path = path
        self.key = key
        self.count = 0
        self.alone = 0
        self.bytes = len(header)
        self._sync = sync
        self._kept: list[bytes] = []
        self._size = 0
        self._file: BinaryIO = path.open("wb")
        self._file.write(header)

    def add(self, record: bytes) -> None:
        self._kept.append(record)
        self._size += len(record)
        self.count += 1
        if self._size >= _BLOCK_BYTES:
            self._flush()

    def _flush(self) -> None:
        if self._kept:
            self.bytes += self._file.write(block(self._kept, self._sync))
            self._kept, self._size = [], 0

    def close(self) -> None:
        self._flush()
        self._file.close()
