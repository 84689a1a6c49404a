"""The folder of catalogues: which release of each is current, and how that changes.

<folder>/<name>/current          symlink to releases/<release>; switching is one rename: no reader ever sees nothing
<folder>/<name>/releases/<id>    a release, complete from the moment it is there
<folder>/<name>/log.jsonl        a line for every publish, switch, rollback, retire and remove
<folder>/.staging/<name>         a release being built
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import getpass
import json
import os
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lasair.catalogues.manifest import ReleaseInfo, info_of, is_safe_name
from lasair.catalogues.problems import BadRelease, Problem
from lasair.catalogues.release import Release
from lasair.errors import LasairError, NotFound, NotPermitted, StoreUnavailable

CURRENT, RELEASES, LOG, STAGING = "current", "releases", "log.jsonl", ".staging"

#: How long a writer waits for another one to finish, which takes milliseconds.
_PATIENCE_S = 10.0


class Shelf:
    """The current releases of all catalogues in a folder, and the ways to change them.

    Attributes
    ----------
    folder : of the catalogues
    releases : name → current release, opened, in the order of names
    problems : catalogues that are left out, and why
    """

    def __init__(self, folder: Path, known: dict[str, Release] | None = None) -> None:
        """Open all that can be opened; `known` releases that are still current are taken over."""
        self.folder = folder
        self.releases: dict[str, Release] = {}
        self.problems: list[Problem] = []
        self._links = self._current_links()
        for name, link in self._links.items():
            if link is None:
                reason = self._why_none(name)
                if reason:
                    self.problems.append(Problem(name, str(folder / name / CURRENT), reason))
                continue
            # the target, not the link: the link may be switched while the files are opened
            path = folder / name / link
            old = (known or {}).get(name)
            if old is not None and old.path == path.resolve():
                self.releases[name] = old
                continue
            try:
                release = Release.open(path)
                if release.name != name:
                    release.close()
                    raise BadRelease(str(path), f"is a release of {release.name}, not of {name}")
            except BadRelease as err:
                self.problems.append(Problem(name, err.file, err.reason))
            else:
                self.releases[name] = release

    @classmethod
    def open(cls, folder: Path) -> Shelf:
        """Open a folder of catalogues; one that does not exist has none.

        Raises
        ------
        StoreUnavailable
            The folder cannot be read. What is wrong with single catalogues is in `problems`.
        """
        return cls(folder)

    def __enter__(self) -> Shelf:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all releases, those shared with a reopened shelf included."""
        for release in self.releases.values():
            release.close()

    def changed(self) -> bool:
        """Whether a catalogue came, went or was switched since this was opened; a few system calls, no file is read."""
        return self._current_links() != self._links

    def reopen(self) -> Shelf:
        """A shelf as the folder is now. Releases that stayed are shared with this one, which remains usable."""
        return Shelf(self.folder, self.releases)

    def names(self) -> list[str]:
        """All catalogues in the folder, current or not."""
        return list(self._current_links())

    def _current_links(self) -> dict[str, str | None]:
        """What each catalogue's link points to; None without a link."""
        try:
            with os.scandir(self.folder) as entries:
                names = sorted(entry.name for entry in entries if is_safe_name(entry.name) and entry.is_dir())
        except FileNotFoundError:
            return {}
        except OSError as err:
            raise StoreUnavailable(f"cannot read the catalogues in {self.folder}: {err.strerror or err}") from err
        return {name: self._link(name) for name in names}

    def _link(self, name: str) -> str | None:
        try:
            return os.readlink(self.folder / name / CURRENT)  # noqa: PTH115 (the text as it is, not a path)
        except OSError:
            return None

    def _why_none(self, name: str) -> str | None:
        """Why a catalogue without a link is a problem; None when it is not."""
        if (self.folder / name / CURRENT).exists():
            return "is no symlink to a release"
        last = [entry["action"] for entry in self.log(name) if entry["action"] in ("switch", "rollback", "retire")]
        if last and last[-1] == "retire":
            return None
        return "is missing: no release was made current; switch to one"

    # --- what there is

    def current(self, name: str) -> str | None:
        """Id of the current release of a catalogue; None when it is retired, or there is no such catalogue."""
        link = self._link(name)
        return None if link is None else Path(link).name

    def releases_of(self, name: str) -> list[ReleaseInfo]:
        """All complete releases of a catalogue, oldest publication first.

        Raises
        ------
        NotFound
            There is no such catalogue.
        """
        self._known(name)
        order = {entry["release"]: i for i, entry in enumerate(self.log(name)) if entry["action"] == "publish"}
        found = []
        with contextlib.suppress(FileNotFoundError):
            for path in (self.folder / name / RELEASES).iterdir():
                with contextlib.suppress(BadRelease):
                    found.append(info_of(path))
        return sorted(found, key=lambda info: (order.get(info.release, -1), info.release))

    def log(self, name: str) -> list[dict[str, Any]]:
        """What was done to a catalogue, oldest first: `time` (UTC), `action`, `release`, `by`."""
        try:
            lines = (self.folder / name / LOG).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            return []
        entries = []
        for line in lines:
            with contextlib.suppress(ValueError):  # the last line may have been cut by a crash
                entry = json.loads(line)
                if isinstance(entry, dict) and {"action", "release"} <= entry.keys():
                    entries.append(entry)
        return entries

    # --- changes

    @contextlib.contextmanager
    def staging(self, name: str) -> Iterator[Path]:
        """A folder to build a release of a catalogue in, beside the others; what is left in it is removed at the end.

        Raises
        ------
        NotPermitted
            Somebody else is building one of this catalogue, or the name cannot be that of a catalogue.
        """
        if not is_safe_name(name):
            raise NotPermitted(f"{name!r} cannot be the name of a catalogue: letters, digits, '.', '_' and '-'")
        folder = self.folder / STAGING
        with self._writing(f"{STAGING}/{name}.lock", 0.0, f"a release of {name} is being built by another process"):
            path = folder / name
            shutil.rmtree(path, ignore_errors=True)  # of a build that was killed
            try:
                yield path
            finally:
                shutil.rmtree(path, ignore_errors=True)

    def publish(self, staged: Path) -> ReleaseInfo:
        """Take a complete release into the folder. It becomes current only when it is the catalogue's first.

        Publishing what is there already changes nothing.

        Raises
        ------
        BadRelease
            It cannot be opened.
        NotPermitted
            Another process is changing the folder.
        StoreUnavailable
            It cannot be moved (disk full, no right to write).
        """
        with Release.open(staged) as release:
            name, release_id = release.name, release.id
        if not (is_safe_name(name) and is_safe_name(release_id)):
            raise BadRelease(str(staged), f"names {name!r} and {release_id!r} cannot be those of folders")
        target = self.folder / name / RELEASES / release_id
        with self._changing("publish", name):
            target.parent.mkdir(parents=True, exist_ok=True)
            if _is_complete(target):
                shutil.rmtree(staged)
            else:
                if target.exists():  # of a publication that was killed, or damaged since: nothing can be using it
                    _discard(target, self.folder)
                _move(staged, target, self.folder)
            self._log(name, "publish", release_id)
            retired = any(entry["action"] == "retire" for entry in self.log(name))
            if self._link(name) is None and not retired:
                self._point(name, release_id)
                self._log(name, "switch", release_id)
        return info_of(target)

    def switch(self, name: str, release_id: str) -> ReleaseInfo:
        """Make a release current, in one step for all readers.

        Raises
        ------
        NotFound
            There is no such catalogue or release.
        BadRelease
            It cannot be opened; nothing was changed.
        """
        with self._changing("switch", name):
            return self._switch(name, release_id, "switch")

    def rollback(self, name: str) -> ReleaseInfo:
        """Make that release current that was so before this one; again, and it is the one before that.

        Raises
        ------
        NotFound
            There was none before, or it was removed.
        """
        with self._changing("rollback", name):
            current = self.current(name)
            if current is None:
                raise NotFound(f"catalogue {name} is retired: switch to the release you want")
            before = self._history(name)
            while before and before[-1] == current:
                before.pop()
            if not before:
                raise NotFound(f"catalogue {name} had no other release before {current}")
            return self._switch(name, before[-1], "rollback")

    def retire(self, name: str) -> None:
        """Take a catalogue out of use. Its releases stay: `switch` brings it back.

        Raises
        ------
        NotFound
            There is no such catalogue, or it is retired already.
        """
        with self._changing("retire", name):
            current = self.current(name)
            if current is None:
                raise NotFound(f"catalogue {name} has no current release")
            (self.folder / name / CURRENT).unlink()
            _sync(self.folder / name)
            self._log(name, "retire", current)

    def remove(self, name: str, release_id: str) -> None:
        """Delete a release. Processes that have it open may go on with it.

        Raises
        ------
        NotFound
            There is no such catalogue or release.
        NotPermitted
            It is the current one.
        """
        with self._changing("remove", name):
            path = self._release_path(name, release_id)
            if self.current(name) == release_id:
                raise NotPermitted(
                    f"release {release_id} of {name} is the current one: switch to another, or retire {name}, before"
                )
            _discard(path, self.folder)
            self._log(name, "remove", release_id)

    def _switch(self, name: str, release_id: str, action: str) -> ReleaseInfo:
        path = self._release_path(name, release_id)
        Release.open(path).close()
        self._point(name, release_id)
        self._log(name, action, release_id)
        return info_of(path)

    def _known(self, name: str) -> None:
        if not is_safe_name(name) or not (self.folder / name).is_dir():
            names = self.names()
            raise NotFound(f"no catalogue {name!r} in {self.folder}; there are: {', '.join(names) or 'none'}")

    def _release_path(self, name: str, release_id: str) -> Path:
        self._known(name)
        path = self.folder / name / RELEASES / release_id
        if not is_safe_name(release_id) or not path.is_dir():
            there = ", ".join(info.release for info in self.releases_of(name)) or "none"
            raise NotFound(f"catalogue {name} has no release {release_id!r}; it has: {there}")
        return path

    def _history(self, name: str) -> list[str]:
        """Releases that were current, as a stack: a rollback takes off what came after its target."""
        stack: list[str] = []
        for entry in self.log(name):
            release_id = entry["release"]
            if entry["action"] == "switch" and (not stack or stack[-1] != release_id):
                stack.append(release_id)
            elif entry["action"] == "rollback" and release_id in stack:
                while stack[-1] != release_id:
                    stack.pop()
            elif entry["action"] == "remove":
                stack = [one for one in stack if one != release_id]
        return stack

    def _point(self, name: str, release_id: str) -> None:
        folder = self.folder / name
        fresh = folder / f".{CURRENT}-{os.getpid()}"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(f"{RELEASES}/{release_id}")
        fresh.replace(folder / CURRENT)
        _sync(folder)

    def _log(self, name: str, action: str, release_id: str) -> None:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        entry = {"time": now, "action": action, "release": release_id, "by": _user()}
        path = self.folder / name / LOG
        with path.open("ab+") as file:
            # after a crash in the middle of a line, begin a new one
            if file.tell() and (file.seek(-1, os.SEEK_END), file.read(1))[1] != b"\n":
                file.write(b"\n")
            file.write(json.dumps(entry).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    @contextlib.contextmanager
    def _changing(self, action: str, name: str) -> Iterator[None]:
        busy = f"another process is changing {self.folder}"
        with self._writing(".lock", _PATIENCE_S, busy):
            try:
                yield
            except OSError as err:
                raise StoreUnavailable(f"cannot {action} catalogue {name}: {err}") from err

    @contextlib.contextmanager
    def _writing(self, lock: str, patience_s: float, busy: str) -> Iterator[None]:
        path = self.folder / lock
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("wb")
        except OSError as err:
            raise StoreUnavailable(f"cannot write the folder of catalogues: {err}") from err
        with file:
            until = time.monotonic() + patience_s
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError as err:
                    if time.monotonic() >= until:
                        raise NotPermitted(f"{busy}: try again when it has finished") from err
                    time.sleep(0.01)
            yield


def _is_complete(path: Path) -> bool:
    try:
        Release.open(path).close()
    except LasairError:
        return False
    return True


def _move(staged: Path, target: Path, shelf: Path) -> None:
    try:
        staged.rename(target)
    except OSError as err:
        if err.errno != errno.EXDEV:
            raise
        # another file system: copy beside the target, so that it still appears in one step
        beside = shelf / STAGING / f"{target.name}.copy"
        shutil.rmtree(beside, ignore_errors=True)
        shutil.copytree(staged, beside)
        for file in beside.iterdir():
            _sync(file)
        _sync(beside)
        beside.rename(target)
        shutil.rmtree(staged)
    _sync(target.parent)


def _discard(path: Path, shelf: Path) -> None:
    """Delete a folder so that nobody sees half of it."""
    gone = shelf / STAGING / f"{path.name}.gone"
    gone.parent.mkdir(exist_ok=True)
    shutil.rmtree(gone, ignore_errors=True)
    path.rename(gone)
    _sync(path.parent)
    shutil.rmtree(gone)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # no entry for the user id, as in some containers
        return str(os.getuid())
