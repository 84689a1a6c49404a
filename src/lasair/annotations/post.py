"""Many clients post single annotations at the same time; what waits together is kept in one transaction.

A transaction waits for the disk once, whatever it holds, and whatever else writes there waits for it. So a writer takes
all that has come while it was busy with the last one, and what clients that post at the same time are about to send.
Alone a client waits for nobody; many neither wait for the disk one by one nor keep it from others.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Final, Protocol

from lasair.annotations.model import Annotation, check
from lasair.errors import BadDefinition, StoreUnavailable

if TYPE_CHECKING:
    from lasair.stores.marks import Kept

#: Annotations that may wait: some seconds' work. Who comes then waits for room.
MOST_WAITING: Final = 10_000
#: Annotations in one transaction, during which other processes cannot write.
MOST_A_COMMIT: Final = 500
#: Longest wait for clients that post at the same time [s]: four clients that post 1,000/s have all come by then.
GATHER_S: Final = 0.004
#: Who had an answer so short a time ago posts still [s].
_STILL_S: Final = 0.02

_STOPPED = "no annotations are taken any more: the service stops; post again when it is back"


class Annotates(Protocol):
    """What keeps annotations."""

    def annotate(self, annotations: Sequence[Annotation], now_s: float) -> list[Kept]:
        """Keep them together or not at all, in their order."""
        ...


class _Waiting:
    """Annotations of one client, and what became of them."""

    def __init__(self, annotations: list[Annotation]) -> None:
        self.annotations = annotations
        self.kept: list[Kept] = []
        self.error: Exception | None = None
        self.client = threading.get_ident()
        #: held until it is known what became of them; an Event costs several times as much
        self._answer = threading.Lock()
        self._answer.acquire()

    def answered(self) -> None:
        """Let the client go on; called once."""
        self._answer.release()

    def wait(self) -> None:
        """Wait for the answer; called once."""
        self._answer.acquire()


class Poster:
    """Keeps what many threads post, and tells each when its annotations are safe.

    What was posted first by one thread is kept first. The store belongs to the caller, who closes it after `close`. To
    be made in the process that uses it: its thread does not survive a fork.

    Parameters
    ----------
    store : Annotates
    most_waiting : annotations that may wait before `post` waits for room
    most_a_commit : annotations in one transaction
    clock : time of arrival [s since 1970, UTC]
    """

    def __init__(
        self,
        store: Annotates,
        *,
        most_waiting: int = MOST_WAITING,
        most_a_commit: int = MOST_A_COMMIT,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store, self._clock = store, clock
        self._most_waiting, self._most_a_commit = most_waiting, most_a_commit
        self._waiting: deque[_Waiting] = deque()
        #: annotations in `_waiting`
        self._count = 0
        self._closing = False
        #: threads that post, and when each had its last answer; used by the writer alone
        self._clients: dict[int, float] = {}
        #: the writer is woken when so many wait
        self._wanted = 1
        lock = threading.Lock()
        self._work, self._room = threading.Condition(lock), threading.Condition(lock)
        # nothing that was acknowledged is lost when the interpreter ends without `close`
        self._thread = threading.Thread(target=self._run, name="annotations", daemon=True)
        self._thread.start()

    def __enter__(self) -> Poster:
        return self

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def post(self, annotation: Annotation) -> Kept:
        """Keep an annotation; returns when it is safe.

        Raises
        ------
        BadDefinition
            It is refused; see `annotations.model.check`.
        StoreUnavailable
            It was not kept: the store cannot be written, or the poster is closed.
        """
        return self._put([check(annotation)])[0]

    def post_many(self, annotations: Iterable[Annotation]) -> list[Kept | BadDefinition]:
        """Keep annotations in their order; returns when all are safe.

        Returns
        -------
        For each what became of it, or why it was refused.

        Raises
        ------
        StoreUnavailable
            As of `post`; some that came first may have been kept. To post all again does no harm.
        """
        out: list[Kept | BadDefinition | None] = []
        places: list[int] = []
        good: list[Annotation] = []
        for one in annotations:
            try:
                good.append(check(one))
            except BadDefinition as err:
                out.append(err)
            else:
                places.append(len(out))
                out.append(None)
        for start in range(0, len(good), self._most_a_commit):
            some = slice(start, start + self._most_a_commit)
            for place, kept in zip(places[some], self._put(good[some]), strict=True):
                out[place] = kept
        return [one for one in out if one is not None]

    def close(self) -> None:
        """Keep what waits, and end; later posts raise StoreUnavailable."""
        with self._work:
            self._closing = True
            self._work.notify_all()
            self._room.notify_all()
        self._thread.join()

    def _put(self, annotations: list[Annotation]) -> list[Kept]:
        mine = _Waiting(annotations)
        with self._work:
            # more than may wait are let in alone
            while not self._closing and self._count and self._count + len(annotations) > self._most_waiting:
                self._room.wait()
            if self._closing:
                raise StoreUnavailable(_STOPPED)
            self._waiting.append(mine)
            self._count += len(annotations)
            if len(self._waiting) >= self._wanted or self._count >= self._most_a_commit:
                self._work.notify()
        mine.wait()
        if isinstance(mine.error, StoreUnavailable):
            # one failure, many threads: each raises its own
            raise StoreUnavailable(str(mine.error)) from mine.error
        if mine.error is not None:
            raise mine.error
        return mine.kept

    def _run(self) -> None:
        while group := self._next():
            self._keep(group)
            now = time.monotonic()
            self._clients.update((one.client, now) for one in group)

    def _next(self) -> list[_Waiting]:
        """What is to be kept together; [] when the poster is closed and nothing waits."""
        with self._work:
            while not self._waiting and not self._closing:
                self._work.wait()
            self._gather()
            group: list[_Waiting] = []
            size = 0
            while self._waiting and (not group or size + len(self._waiting[0].annotations) <= self._most_a_commit):
                group.append(self._waiting.popleft())
                size += len(group[-1].annotations)
            self._count -= size
            self._room.notify_all()
        return group

    def _gather(self) -> None:
        """Wait a little for the clients that are about to post; the lock is held."""
        now = time.monotonic()
        self._clients = {one: when for one, when in self._clients.items() if now - when < _STILL_S}
        if len(self._waiting) >= len(self._clients):
            return
        wanted = self._wanted = len(self._clients.keys() | {one.client for one in self._waiting})
        self._work.wait_for(
            lambda: self._closing or len(self._waiting) >= wanted or self._count >= self._most_a_commit, GATHER_S
        )
        self._wanted = 1

    def _keep(self, group: list[_Waiting]) -> None:
        try:
            kept = self._store.annotate([one for waiting in group for one in waiting.annotations], self._clock())
        except StoreUnavailable as err:
            # each of those behind would wait as long as these did, only to hear the same
            self._fail([*group, *self._all_waiting()], err)
        except Exception as err:
            # a fault that one of them brings out must not be that of the others
            if len(group) == 1:
                self._fail(group, err)
            else:
                for waiting in group:
                    self._keep([waiting])
        else:
            start = 0
            for waiting in group:
                end = start + len(waiting.annotations)
                waiting.kept = kept[start:end]
                start = end
                waiting.answered()

    def _all_waiting(self) -> list[_Waiting]:
        with self._work:
            found = list(self._waiting)
            self._waiting.clear()
            self._count = 0
            self._room.notify_all()
        return found

    @staticmethod
    def _fail(group: Iterable[_Waiting], err: Exception) -> None:
        for waiting in group:
            waiting.error = err
            waiting.answered()
