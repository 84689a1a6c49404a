"""The HTTP service: a thin shell around the engine.

GET  /query?ra=10,20&dec=-5,7[&name=a,b][&lite=false]      up to 10,000 positions
POST /query   the same as JSON, or as an Arrow stream with columns ra, dec[, name]
GET  /object/ID[,ID...]                                     objects known to this installation
GET  /health                                                catalogues, rules, what is missing
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import orjson
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge
from werkzeug.wrappers import Request, Response

from lasair.errors import LasairError, NotFound, StoreUnavailable
from lasair.sherlock.answers import Answers
from lasair.sherlock.engine import Sherlock
from lasair.sherlock.matches import Rejected
from lasair.sherlock.reply import explain, reply, state_of
from lasair.sherlock.requests import ARROW, MAX_BYTES, Asked, BadRequest, TooLarge, from_arrow, from_json, from_query
from lasair.sherlock.rules import RuleSet

log = logging.getLogger("lasair.sherlock.service")

#: Most objects of one request.
MAX_OBJECTS = 1000


class Place(NamedTuple):
    """Where an object is, and the epoch of its last detection (Julian year)."""

    ra: float
    decl: float
    epoch: float | None


#: Looks objects up: names -> places of those that are known.
Lookup = Callable[[Sequence[str]], dict[str, Place]]


class Service:
    """A WSGI application.

    Parameters
    ----------
    engine : rule set -> the engine to use now
    lookup : finds objects; None where this installation keeps none
    """

    def __init__(self, engine: Callable[[RuleSet], Sherlock], lookup: Lookup | None = None) -> None:
        self._engine, self._lookup = engine, lookup

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        request = Request(environ)
        request.max_content_length = MAX_BYTES
        return self._answer(request)(environ, start_response)

    def _answer(self, request: Request) -> Response:
        try:
            return self._route(request)
        except BadRequest as err:
            return _json({"error": str(err), "field": err.field}, err.status)
        except RequestEntityTooLarge:
            return _json({"error": f"body: more than {MAX_BYTES} bytes", "field": "body"}, 413)
        except NotFound as err:
            return _json({"message": str(err)}, 404)
        except StoreUnavailable as err:
            log.error("%s", err)
            return _json({"error": "the database of objects cannot be read now", "field": "object"}, 503)
        except LasairError as err:
            return _json({"error": str(err), "field": "ra"}, 400)
        except HTTPException as err:
            return _json({"error": err.description or err.name}, err.code or 500)

    def _route(self, request: Request) -> Response:
        path = request.path.rstrip("/")
        if path == "/health" and request.method == "GET":
            return _json({"status": "ok"} | state_of(self._engine("fixed")))
        if path == "/query" and request.method == "GET":
            return self._positions(from_query(_single(request)), request)
        if path == "/query" and request.method == "POST":
            body = request.get_data()
            if request.mimetype == ARROW:
                return self._positions(from_arrow(body, _single(request)), request)
            return self._positions(from_json(body), request)
        if path.startswith("/object/") and request.method == "GET":
            return self._objects(path.removeprefix("/object/"), _single(request))
        if path in ("/query", "/health") or path.startswith("/object/"):
            return _json({"error": f"{request.method} is not allowed here"}, 405)
        return _json({"error": "there are /query, /object/ID and /health"}, 404)

    def _positions(self, asked: Asked, request: Request) -> Response:
        engine = self._engine(asked.rules)
        rejected: list[Rejected] | None = [] if asked.explain else None
        answers = classify(engine, asked, rejected)
        if ARROW in request.accept_mimetypes.values():
            return Response(as_arrow(answers, asked.names), mimetype=ARROW)
        said = reply(answers, asked.names, lite=asked.lite)
        if rejected is not None:
            said["explanations"] = {name: explain(engine, rejected, i) for i, name in enumerate(asked.names)}
        return _json(said)

    def _objects(self, names: str, arguments: dict[str, str]) -> Response:
        if self._lookup is None:
            raise NotFound("this service has no objects; ask /query for positions")
        wanted = list(dict.fromkeys(name for name in names.split(",") if name))
        if len(wanted) > MAX_OBJECTS:
            raise TooLarge("object", f"{len(wanted)} objects; the most is {MAX_OBJECTS} a request")
        places = self._lookup(wanted)
        unknown = [name for name in wanted if name not in places]
        if unknown or not wanted:
            raise NotFound(f"no object {unknown[0] if unknown else ''!r}")
        asked = from_query(
            arguments
            | {
                "ra": ",".join(repr(places[n].ra) for n in wanted),
                "dec": ",".join(repr(places[n].decl) for n in wanted),
            }
            | {"name": ",".join(wanted)}
        )
        epochs = [places[name].epoch for name in wanted]
        engine = self._engine(asked.rules)
        answers = engine.classify(
            asked.ra, asked.decl, [float("nan") if e is None else e for e in epochs], lite=asked.lite
        )
        return _json(reply(answers, asked.names, lite=asked.lite))


def classify(engine: Sherlock, asked: Asked, rejected: list[Rejected] | None = None) -> Answers:
    """The answer to what was asked; fills `rejected` when it is given."""
    from lasair.catalogues.sky import Sky

    sky = Sky(asked.ra, asked.decl)
    found = engine.candidates(sky, engine.years(asked.epoch, len(sky)))
    return engine.decide(sky, found, lite=asked.lite, rejected=rejected)


def as_arrow(answers: Answers, names: Sequence[str]) -> bytes:
    """The lite answer as an Arrow stream: one row a position, in the order asked; null where there is no source."""
    import numpy as np
    import pyarrow as pa

    from lasair.sherlock.text import descriptions

    columns = answers.columns()
    place = np.full(len(answers), -1, np.int64)
    place[answers.best >= 0] = np.arange(int((answers.best >= 0).sum()))
    none = place < 0
    arrays = {
        "name": pa.array(names, pa.string()),
        "classification": pa.array(answers.classes),
        "description": pa.array(descriptions(answers), pa.string()),
    }
    for name, values in columns.items():
        full = values[np.maximum(place, 0)] if len(values) else np.zeros(len(place), values.dtype)
        empty = none | (np.isnan(full) if full.dtype.kind == "f" else full == "" if full.dtype.kind == "U" else none)
        arrays[name] = pa.array(full, mask=empty)
    table = pa.table(arrays)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def _single(request: Request) -> dict[str, str]:
    for name in request.args:
        if len(request.args.getlist(name)) > 1:
            raise BadRequest(name[:40], "it is given twice; several values are one list with commas")
    return request.args.to_dict()


def _json(body: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY), status=status, mimetype="application/json")
