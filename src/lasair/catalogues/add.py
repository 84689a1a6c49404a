"""From a description to a published release: find the files, read, build, test, publish, switch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lasair.catalogues.build import build
from lasair.catalogues.describe import Canary, Description
from lasair.catalogues.fetch import Progress
from lasair.catalogues.manifest import ReleaseInfo
from lasair.catalogues.release import Release
from lasair.catalogues.shelf import Shelf
from lasair.catalogues.sky import Sky
from lasair.catalogues.sources import Positions, Rows, local_files
from lasair.catalogues.validate import Report, Tally, report_of
from lasair.errors import BadDefinition, LasairError, NotFound

#: Folder for what is fetched, beside the catalogues; its name cannot be that of one.
FETCHED = ".fetched"


class CanaryFailed(LasairError):
    """A release in which a source that must be there is not found where it must be; it was not published."""


class Added(NamedTuple):
    """What became of a description."""

    info: ReleaseInfo
    report: Report
    #: whether it is the current release now
    current: bool


def add(
    description: Description,
    folder: Path,
    *,
    source: Sequence[str | Path] | None = None,
    positions: Sequence[str | Path] | None = None,
    fetch: bool = False,
    partial: bool = False,
    memory_bytes: int = 500_000_000,
    report: Callable[[Report], None] | None = None,
    progress: Progress | None = None,
    switch: bool = True,
) -> Added:
    """Add a release of a catalogue to a folder of them.

    Parameters
    ----------
    source : files, folders of HATS, globs or URLs to take instead of those in the description
    positions : likewise for the second table that has the positions
    fetch : fetch what has a URL; else that is an error
    partial : the files are only a part of the catalogue: it covers the sky where they have rows, and canaries elsewhere
        are not asked for
    memory_bytes : for rows, beside some tens of MB of the file that is read
    report : called with what is known of the rows, before the canary test and thus also when that fails
    progress : called with the stage ('fetch', 'read', 'write'), bytes or rows done, and in all when known
    switch : make it the current release; a catalogue's first becomes that in any case

    Raises
    ------
    NotFound
        A file is not there, or no file is named.
    BadSource, BadDefinition
        A file cannot be read, or not as the description says; NoPositions when it has no positions.
    CannotFetch
        A file cannot be fetched.
    CanaryFailed
        A canary is not found. Nothing is published.
    """
    fetch_into = folder / FETCHED / description.name if fetch else None
    named = [str(one) for one in source] if source else description.sources()
    files = local_files(description, named, fetch_into=fetch_into, progress=progress)
    tally = Tally()
    shelf = Shelf(folder)
    with shelf, shelf.staging(description.name) as staged:
        second = _positions(description, positions, fetch_into, memory_bytes, progress)
        rows = Rows(description, files, tally, positions=second)
        about = description.release_about()
        if partial:
            about |= {"partial": True}
        build(
            staged,
            rows,
            name=description.name,
            title=description.title,
            version=description.version,
            views=list(description.views),
            sparse_views=description.sparse_views,
            about=about,
            coverage="derived" if partial else description.footprint(),
            dtypes=description.dtypes(),
            memory_bytes=memory_bytes,
            progress=progress,
        )
        if not tally.rows_used:
            reasons = "; ".join(f"{reason} ({one.count}), such as {one.examples[0]}"
                                for reason, one in tally.refused.items() if one.examples)  # fmt: skip
            raise BadDefinition(
                f"no row of {', '.join(str(file) for file in files[:3])} can be used as catalogue {description.name}"
                f"{': ' + reasons if reasons else ''}; nothing was published"
            )
        with Release.open(staged) as release:
            found = report_of(
                release, tally, expected_rows=None if partial else _expected(description, files), scratch=staged.parent,
                memory_bytes=memory_bytes,
            )  # fmt: skip
            failed = _ask(release, description.canaries, found, partial)
        if report:
            report(found)
        if failed:
            raise CanaryFailed(f"release {found.release} of {description.name} was not published: {'; '.join(failed)}")
        info = shelf.publish(staged)
        if switch and shelf.current(info.name) != info.release:
            info = shelf.switch(info.name, info.release)
    return Added(info, found, shelf.current(info.name) == info.release)


def _expected(description: Description, files: Sequence[Path]) -> int | None:
    """How many rows there should be: as the description says, else as HATS folders say of themselves."""
    if description.rows is not None or not all(file.is_dir() for file in files):
        return description.rows
    from lasair.catalogues.readers.parquet import hats_rows

    counts = [hats_rows(file) for file in files]
    return None if None in counts else sum(count for count in counts if count is not None)


def _positions(
    description: Description,
    named: Sequence[str | Path] | None,
    fetch_into: Path | None,
    memory_bytes: int,
    progress: Progress | None,
) -> Positions | None:
    given = description.positions_from
    if given is None:
        if named:
            raise BadDefinition(f"{description.label}: takes no positions from a second table (positions_from)")
        return None
    sources = [str(one) for one in named] if named else [description.located(one) for one in given.source]
    try:
        files = local_files(description, sources, fetch_into=fetch_into, option="--positions", progress=progress)
    except NotFound as err:
        raise NotFound(f"the second table, which has the positions: {err}") from err
    form = given.format or Description.format_of(description.model_copy(update={"format": None}), str(files[0]))
    return Positions(given, files, form, memory_bytes // 2)


def _ask(release: Release, canaries: Sequence[Canary], report: Report, partial: bool) -> list[str]:
    """Look for each canary; what is wrong with those that are not found."""
    failed = []
    for canary in canaries:
        sky = Sky([canary.ra], [canary.decl])
        place = f"{canary.id!r} within {canary.radius:g} arcsec of {canary.ra:g} {canary.decl:+g}"
        if partial and not release.covers(sky)[0]:
            report.canaries.append(f"{place}: not asked for, it is outside of this part")
            continue
        rows = release.cone(sky, canary.radius).row
        ids = [
            one.decode() if isinstance(one, bytes) else str(one) for one in release.gather("id", np.sort(rows)).tolist()
        ]
        if canary.id in ids:
            report.canaries.append(f"{place}: found")
        else:
            there = ", ".join(ids[:3]) or "nothing"
            report.canaries.append(f"{place}: NOT found, there is {there}")
            failed.append(f"the canary {place} is not there, there is {there}")
    return failed
