"""`lasair inspect`: decode only."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from lasair.cli.output import format_option, print_rows, say
from lasair.cli.state import schemas_option

NAMES = (
    "file", "survey", "schema", "alert_id", "object_id", "ss_object_id", "mjd_tai", "band", "ra", "decl",
    "flux_nJy", "mag", "snr", "reliability", "n_detections", "n_nondetections", "n_forced", "n_reliable",
    "cutout_bytes",
)  # fmt: skip


@click.command("inspect")
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@schemas_option
@format_option("table", "csv", "json")
def inspect_command(paths: tuple[Path, ...], schemas: str | None, form: Any) -> None:
    """Decode the packets in PATHS (files or folders) and show one row an alert.

    Refused packets are listed on stderr with file, index and reason; they do not make the command fail.
    """
    from lasair.cli.state import schema_source

    source = schema_source(schemas, paths)
    rows = _rows(paths, source)
    if form == "table":
        _pages(rows)
    else:
        print_rows(NAMES, rows, form)


def _rows(paths: tuple[Path, ...], source: Any) -> Iterator[tuple[Any, ...]]:
    from lasair.packets.batch import Refused
    from lasair.packets.decode import decode
    from lasair.packets.files import read_messages
    from lasair.work import batches

    good = bad = 0
    for work in batches(read_messages(paths), most_alerts=1000, most_bytes=64_000_000):
        decoded, refused = decode(work.messages, source)
        for one in (*work.refused, *refused):
            assert isinstance(one, Refused)
            bad += 1
            say(f"{one.message.partition}:{one.message.offset}: refused: {one.reason}")
        place = {(message.partition, message.offset): i for i, message in enumerate(work.messages)}
        rows = [
            (place[message.partition, message.offset], row) for batch in decoded for message, row in _batch_rows(batch)
        ]
        good += len(rows)
        yield from (row for _, row in sorted(rows, key=lambda one: one[0]))
    say(f"{good} alerts decoded, {bad} packets refused")
    if not good and not bad:
        say("nothing to read: in folders, files named *.avro and *.bin are")


def _batch_rows(batch: Any) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    from lasair.packets.ids import object_names
    from lasair.schema.model import INT_MISSING

    alerts = batch.alerts
    lsst = batch.survey == "lsst"
    names = object_names(batch.survey, alerts["object_id"])
    snr = batch.snr
    sizes = (batch.cutouts[:, :, 1] - batch.cutouts[:, :, 0]).sum(axis=1)
    for i in range(len(batch)):
        one = alerts[i]

        def known(value: int) -> int | None:
            return None if value == INT_MISSING else value

        row = (
            batch.messages[i].partition,
            batch.survey,
            batch.schemas[i].version,
            int(one["alert_id"]),
            known(names[i].item()),
            known(int(one["ss_object_id"])),
            float(one["mjd_tai"]),
            chr(one["band"]) if one["band"] else None,
            float(one["ra"]),
            float(one["decl"]),
            float(one["flux"]) if lsst else None,
            None if lsst else float(one["mag"]),
            float(snr[i]),
            float(one["reliability"]),
            int(one["n_detections"]),
            int(one["n_nondetections"]),
            int(one["n_forced"]),
            int(one["n_reliable"]),
            int(sizes[i]),
        )
        yield batch.messages[i], row


def _pages(rows: Iterator[tuple[Any, ...]]) -> None:
    """A block a file, a line an alert, through the pager when on a terminal."""

    def lines() -> Iterator[str]:
        file = None
        for row in rows:
            one = dict(zip(NAMES, row, strict=True))
            if one["file"] != file:
                file = one["file"]
                yield f"\n{file}\n"
            brightness = (
                f"{one['flux_nJy']:>12.1f} nJy"
                if one["flux_nJy"] is not None
                else f"{one['mag'] or float('nan'):>12.3f} mag"
            )
            name = one["object_id"] if one["object_id"] is not None else f"mover {one['ss_object_id']}"
            yield (
                f"  {one['survey']} {one['schema']:<5} {one['alert_id']:>19}  {name!s:<24} MJD {one['mjd_tai']:.5f}"
                f" {one['band'] or '-'} {brightness}  ra {one['ra']:9.5f} dec {one['decl']:+9.5f}"
                f"  history {one['n_detections']}+{one['n_nondetections']}+{one['n_forced']}"
                f"  images {one['cutout_bytes'] / 1000:.0f} kB\n"
            )

    click.echo_via_pager(lines())
