"""Bring the mirror up to date, from the Transient Name Server or from files at hand."""

from __future__ import annotations

import fcntl
import os
import re
import time
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from lasair.errors import BadDefinition, NotFound, NotPermitted, StoreUnavailable
from lasair.tns.fetch import Credentials, TnsServer, TnsUnavailable
from lasair.tns.layout import BadTnsFile, Period, TnsFile, read_tns
from lasair.tns.mirror import Applied, TnsMirror
from lasair.tns.plan import STEM, Kind, Wanted, is_full_needed, plan
from lasair.tns.rows import BadRow

#: After so many files that cannot be had or read, the server is left in peace.
_MOST_PROBLEMS = 3


@dataclass(frozen=True)
class Brought:
    """What one file brought."""

    name: str
    #: None when neither its name nor its first line says
    kind: Kind | None
    period: str
    #: False: there was no such file
    found: bool
    rows: int = 0
    new: int = 0
    changed: int = 0
    removed: int = 0
    #: the first of the bad rows, and how many there are
    bad: list[BadRow] = field(default_factory=list)
    bad_count: int = 0


@dataclass
class Updated:
    """What an update did. `problems` are faults that kept files away, each with its address or path."""

    files: list[Brought] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def new(self) -> int:
        """New entries."""
        return sum(one.new for one in self.files)

    @property
    def changed(self) -> int:
        """Entries that are different now."""
        return sum(one.changed for one in self.files)

    @property
    def removed(self) -> int:
        """Entries that TNS has no more."""
        return sum(one.removed for one in self.files)

    @property
    def bad_rows(self) -> int:
        """Rows that cannot be used."""
        return sum(one.bad_count for one in self.files)


Progress = Callable[[Brought], None]


def update(
    mirror: TnsMirror,
    base_url: str,
    credentials: Credentials,
    *,
    now: datetime,
    progress: Progress | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Updated:
    """Take in what is new.

    Each file is taken in when it has come, so that a fault loses nothing of what came before it.

    Parameters
    ----------
    base_url : address of the folder with TNS's files; or a path or file: address of a file or a folder of files
    credentials : for the network
    now : UTC
    progress : told of each file
    sleep : waits some seconds

    Raises
    ------
    BadDefinition, NotFound
        The address is none, or there is no such path. Faults of the network and bad files are in `problems` instead.
    StoreUnavailable
        The mirror cannot be written.
    """
    done = _Update(mirror, now, progress or (lambda _: None))
    try:
        path = local_path(base_url)
        if path is None:
            done.from_server(TnsServer(base_url, credentials, sleep=sleep))
        else:
            done.from_files(path)
    except (BadDefinition, NotFound) as err:
        mirror.ended(str(err), now)
        raise
    mirror.ended("; ".join(done.said.problems) or None, now)
    return done.said


def local_path(url: str) -> Path | None:
    """The path that an address means, None when it is one of the network.

    Raises
    ------
    BadDefinition
        Neither.
    """
    if re.match(r"https?://", url, re.IGNORECASE):
        return None
    if url[:5].lower() == "file:":
        parts = urllib.parse.urlsplit(url)
        if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
            raise BadDefinition(f"{url!r} is no file here: it is like file:///folder/file")
        url = urllib.parse.unquote(parts.path)
    elif "://" in url:
        raise BadDefinition(f"{url!r}: only https:, http: and file: addresses and paths are read")
    if not url or "\0" in url:
        raise BadDefinition(f"{url!r} is no path")
    return Path(url)


@contextmanager
def updating(folder: Path) -> Iterator[None]:
    """Hold the mirror in a folder for one update at a time; NotPermitted when there is another."""
    file = folder / "tns.lock"
    try:
        handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as err:
        raise StoreUnavailable(f"cannot write {file}: {err.strerror}; choose another folder with --state") from err
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as err:
            raise NotPermitted(f"{folder}: another 'lasair tns update' is at work; wait for it") from err
        yield
    finally:
        os.close(handle)


class _Update:
    """One update at work."""

    def __init__(self, mirror: TnsMirror, now: datetime, progress: Progress) -> None:
        self.said = Updated()
        self._mirror = mirror
        self._now = now
        self._progress = progress

    def from_server(self, server: TnsServer) -> None:
        wanted = plan(self._mirror.applied(), self._now)
        if wanted and wanted[0].kind == "full":
            if not self._ask(server, wanted[0]):
                return
            wanted = [one for one in plan(self._mirror.applied(), self._now) if one.kind != "full"]
        for one in wanted:
            day = one.period[:10]
            if one.kind == "hour" and any(a[:2] == ("day", day) and a.found for a in self._mirror.applied()):
                continue  # its day has come meanwhile
            if not self._ask(server, one):
                return

    def _ask(self, server: TnsServer, wanted: Wanted) -> bool:
        """Ask for a file and take it in; False when there is no sense in asking for another."""
        try:
            file = server.get(wanted.file_name)
        except (TnsUnavailable, BadTnsFile) as err:
            self.said.problems.append(str(err))
            return len(self.said.problems) < _MOST_PROBLEMS and not (isinstance(err, TnsUnavailable) and err.for_all)
        if file is None:
            if wanted.kind == "full":
                # only a fault when it is missed: else the days and hours are enough
                if is_full_needed(self._mirror.applied(), self._now):
                    self.said.problems.append(f"{wanted.file_name}: TNS has no such file now; is the address right?")
            else:
                self._mirror.record(Applied(wanted.kind, wanted.period, self._now, found=False))
            self._tell(Brought(wanted.file_name, wanted.kind, wanted.period, found=False))
            return True
        period = file.period
        if period is None and wanted.kind == "full":
            # made this day or the one before; it cannot say what TNS has no more
            wanted = Wanted("full", wanted.starts - timedelta(days=1))
        elif period is not None and wanted.kind == "full" and self._kind(period) == "full":
            wanted = Wanted("full", period.starts)
        elif period is not None and not (wanted.kind != "full" and wanted.starts <= period.starts < wanted.ends):
            return self._take_other(file, wanted)
        self._take(file, wanted.file_name, wanted.kind, wanted.period)
        return True

    def _take_other(self, file: TnsFile, wanted: Wanted) -> bool:
        """A file that is not of the time asked for: what it says is true all the same."""
        if wanted.kind == "hour":
            # the one of this hour yesterday: today's is still to come
            self._mirror.record(Applied(wanted.kind, wanted.period, self._now, found=False))
        else:
            said = f"{file.period.starts:%Y-%m-%d %H:%M}" if file.period else "no time"
            self.said.problems.append(
                f"{wanted.file_name}: is of another time, or only of a part of it: its first line says {said}"
            )
        self._take(file, wanted.file_name, None, "")
        return len(self.said.problems) < _MOST_PROBLEMS

    def from_files(self, path: Path) -> None:
        for one in _files_in(path):
            try:
                file = read_tns(one)
            except BadTnsFile as err:
                self.said.problems.append(str(err))
                continue
            kind = self._kind(file.period)
            period = Wanted(kind, file.period.starts).period if kind and file.period else ""
            self._take(file, str(one), kind, period)

    def _take(self, file: TnsFile, name: str, kind: Kind | None, period: str) -> None:
        complete = kind == "full" and file.bad_count == 0 and self._kind(file.period) == "full"
        whole_at = file.period.starts if complete and file.period else None
        seen_at = file.period.ends if file.period and self._kind(file.period) else None
        merged = self._mirror.merge(file.rows, whole_at=whole_at, seen_at=seen_at, now=self._now)
        rows, bad = len(file.rows), file.bad_count
        if kind is not None:
            counts = (rows, merged.new, merged.changed, merged.removed, bad)
            self._mirror.record(Applied(kind, period, self._now, True, *counts))
        self._tell(Brought(name, kind, period, True, rows, merged.new, merged.changed, merged.removed, file.bad, bad))

    def _kind(self, period: Period | None) -> Kind | None:
        """What a file is by its first line."""
        if period is None or period.starts > self._now + timedelta(days=1):
            return None  # a time to come would end all updates until then
        if period.ends is None:
            return "full"
        length = period.ends - period.starts
        return "day" if length == timedelta(days=1) else "hour" if length == timedelta(hours=1) else None

    def _tell(self, brought: Brought) -> None:
        self.said.files.append(brought)
        self._progress(brought)


def _files_in(path: Path) -> list[Path]:
    try:
        if path.is_dir():
            found = [one for one in path.iterdir() if one.name.lower().endswith((".csv", ".zip")) and one.is_file()]
            if not found:
                raise NotFound(f"{path}: there is no .csv or .zip file in this folder; is it the right one?")
            # names of TNS begin alike and end in the date, so this is the order of time; the whole list comes first
            return sorted(found, key=lambda one: (not one.name.startswith(f"{STEM}."), one.name))
        if path.exists():
            return [path]
    except OSError as err:
        raise BadDefinition(f"{path}: cannot be read: {err.strerror or err}") from err
    raise NotFound(f"{path}: there is no such file or folder")
