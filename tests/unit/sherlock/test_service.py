"""The HTTP service: shapes, limits, and what hostile clients get."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.test import Client, TestResponse

from lasair.sherlock.engine import Sherlock
from lasair.sherlock.requests import ARROW, MAX_BYTES
from lasair.sherlock.rules import load_rules
from lasair.sherlock.service import Place, Service
from tests.support.skies import release
from tests.unit.sherlock.test_stage import publish

ROWS = [{"ra": 10.0, "decl": 5.0, "id": 77, "views": ("star",), "G": 18.0}]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Client:
    gaia = release(tmp_path_factory.mktemp("sky"), "gaia", ROWS)
    engines = {rules: Sherlock({"gaia": gaia}, load_rules(rules)) for rules in ("fixed", "compat")}

    def lookup(names: Any) -> dict[str, Place]:
        return {"123": Place(10.0, 5.0, 2026.0)} if "123" in names else {}

    return Client(Service(engines.__getitem__, lookup))


def said(response: TestResponse, status: int = 200) -> Any:
    assert response.status_code == status, response.text
    return json.loads(response.data)


def test_one_position(client: Client) -> None:
    found = said(client.get("/query?ra=10&dec=5"))
    assert found["classifications"]["query0"][0] == "VS"
    assert found["classifications"]["query0"][1].startswith("Probably a variable star")
    (row,) = found["crossmatches"]
    assert (row["transient_object_id"], row["catalogue_object_id"], row["Mag"]) == ("query0", "77", 18.0)
    assert found["version"]["rules"].startswith("3.1")
    assert "ps1" in found["missing"]


def test_many_positions_with_names(client: Client) -> None:
    found = said(client.post("/query", json={"ra": [10, 11], "dec": [5, 5], "name": ["a", "b"], "lite": False}))
    assert {name: one[0] for name, one in found["classifications"].items()} == {"a": "VS", "b": "ORPHAN"}
    assert found["covered_by"] == {"b": ["gaia"]}
    assert found["crossmatches"][0]["rank"] == 1


def test_arrow_in_and_out(client: Client) -> None:
    sink = pa.BufferOutputStream()
    table = pa.table({"ra": [10.0, 11.0], "dec": [5.0, 5.0], "name": ["a", "b"]})
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    body = sink.getvalue().to_pybytes()
    response = client.post("/query", data=body, content_type=ARROW, headers={"Accept": ARROW})
    assert response.status_code == 200
    found = pa.ipc.open_stream(response.data).read_all()
    assert found.column("name").to_pylist() == ["a", "b"]
    assert found.column("classification").to_pylist() == ["VS", "ORPHAN"]
    assert found.column("separationArcsec").to_pylist() == [pytest.approx(0.0, abs=1e-5), None]
    assert found.column("catalogue_object_id").to_pylist() == ["77", None]


def test_an_object(client: Client) -> None:
    assert said(client.get("/object/123?lite=true"))["classifications"]["123"][0] == "VS"
    assert said(client.get("/object/124"), 404) == {"message": "no object '124'"}
    assert said(client.get("/object/"), 404)


def test_explanations(client: Client) -> None:
    found = said(client.get("/query?ra=10&dec=5.0015&explain=true"))
    reasons = {(one["search"], one["reason"]) for one in found["explanations"]["query0"]["not_taken"]}
    assert ("gaia stars", "outside the radius") in reasons or not reasons
    assert len(found["explanations"]["query0"]["searches"]) == 38


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "ra"),
        ("ra=10", "dec"),
        ("ra=x&dec=5", "ra"),
        ("ra=nan&dec=5", "ra"),
        ("ra=10&dec=91", "dec"),
        ("ra=10&dec=inf", "dec"),
        ("ra=10,11&dec=5", "dec"),
        ("ra=10&dec=5&name=a,b", "name"),
        ("ra=10,11&dec=5,5&name=a,a", "name"),
        ("ra=10&dec=5&lite=maybe", "lite"),
        ("ra=10&dec=5&rules=mine", "rules"),
        ("ra=10&dec=5&epoch=3000", "epoch"),
        ("ra=10&dec=5&radius=5", "radius"),
        ("ra=10&ra=11&dec=5", "ra"),
    ],
)
def test_bad_input_names_the_field(client: Client, query: str, field: str) -> None:
    assert said(client.get(f"/query?{query}"), 400)["field"] == field


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", "body"),
        (b"[1]", "body"),
        (b"{", "body"),
        (b'{"ra": [10], "dec": ["\\ud83d"]}', "body"),
        (b'{"ra": [10], "dec": [null]}', "dec"),
        (b'{"ra": [true], "dec": [5]}', "ra"),
        (b'{"ra": [[10]], "dec": [5]}', "ra"),
        (b'{"ra": {}, "dec": [5]}', "ra"),
        (b'{"ra": [], "dec": []}', "ra"),
        (b'{"ra": [10], "dec": [5], "more": 1}', "more"),
        (b'{"ra": [1e400], "dec": [5]}', "body"),
    ],
)
def test_bad_json_names_the_field(client: Client, body: bytes, field: str) -> None:
    assert said(client.post("/query", data=body, content_type="application/json"), 400)["field"] == field


def test_too_much(client: Client) -> None:
    many = ",".join(["10"] * 10_001)
    assert said(client.get(f"/query?ra={many}&dec={many}"), 413)["field"] == "ra"
    assert said(client.post("/query", json={"ra": [1.0] * 10_001, "dec": [1.0] * 10_001}), 413)["field"] == "ra"
    assert said(client.post("/query", data=b" " * (MAX_BYTES + 1)), 413)["field"] == "body"
    assert said(client.get("/object/" + ",".join(map(str, range(1001)))), 413)["field"] == "object"
    assert (
        len(said(client.post("/query", json={"ra": [1.0] * 10_000, "dec": [1.0] * 10_000}))["classifications"])
        == 10_000
    )


def test_other_paths_and_methods(client: Client) -> None:
    assert said(client.get("/"), 404)
    assert said(client.delete("/query"), 405)
    assert said(client.get("/health"))["status"] == "ok"


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200), st.sampled_from([ARROW, "application/json", "text/plain"]))
def test_no_body_is_an_error_of_ours(client: Client, body: bytes, kind: str) -> None:
    assert client.post("/query", data=body, content_type=kind).status_code in (200, 400, 413)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from(["ra", "dec", "name", "lite", "epoch"]), st.text(max_size=12)))
def test_no_query_is_an_error_of_ours(client: Client, arguments: dict[str, str]) -> None:
    assert client.get("/query", query_string=arguments).status_code in (200, 400, 413)


def test_a_real_server_follows_catalogues_and_drains(tmp_path: Path) -> None:
    """The command itself: answers, takes up a new release, finishes what is under way when told to stop."""
    folder = tmp_path / "c"
    publish(folder, "gaia", ["star", "qso"], [{"ra": 10.0, "decl": 5.0, "id": 1, "view": "star"}])
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "lasair.cli.main", "--state", str(tmp_path), "sherlock", "serve"]
    server = subprocess.Popen([*command, "--port", str(port), "--catalogues", str(folder)], stderr=subprocess.PIPE)
    try:
        address = f"http://127.0.0.1:{port}"
        for _ in range(300):
            try:
                found = json.load(urllib.request.urlopen(f"{address}/query?ra=10&dec=5"))
                break
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.1)
        assert found["classifications"]["query0"][0] == "VS"
        publish(folder, "gaia", ["star", "qso"], [{"ra": 10.0, "decl": 5.0, "id": 2, "view": "qso"}], version="2")
        for _ in range(150):
            found = json.load(urllib.request.urlopen(f"{address}/query?ra=10&dec=5"))
            if found["classifications"]["query0"][0] == "AGN":
                break
            time.sleep(0.1)
        assert found["crossmatches"][0]["catalogue_object_id"] == "2"
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=40) == 0
    finally:
        server.kill()
        server.communicate()
