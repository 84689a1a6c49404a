"""The light-curve tables of Cassandra, as text."""

from __future__ import annotations

import re

import pytest

from lasair.schema import layout
from lasair.schema.cql import NAMESPACES, clustering, create_lightcurves


def test_ztf_text() -> None:
    assert create_lightcurves("ztf").splitlines()[:4] == [
        "CREATE TABLE IF NOT EXISTS lightcurve_ztf (",
        "  object_id bigint,",
        "  mjd_tai double,",
        "  source_id bigint,",
    ]
    assert create_lightcurves("ztf").splitlines()[-2:] == [
        "  PRIMARY KEY ((object_id), mjd_tai, kind, source_id, pid, field, rcid, band)",
        ") WITH CLUSTERING ORDER BY (mjd_tai ASC, kind ASC, source_id ASC, pid ASC, field ASC, rcid ASC, band ASC)",
    ]


def test_lsst_key() -> None:
    assert clustering(layout("lsst", "row")) == ("mjd_tai", "kind", "source_id", "visit", "detector", "band")


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_every_row_field_has_a_column_and_names_need_no_quotes(namespace: str) -> None:
    text = create_lightcurves(namespace)
    columns = dict(re.findall(r"^  (\w+) (\w+),$", text, re.M))
    fields = layout("ztf" if namespace == "ztf" else "lsst", "row").fields
    assert list(columns) == ["object_id", *(field.name for field in fields), "version_mjd", "version_id"]
    assert all(re.fullmatch("[a-z][a-z0-9_]*", name) for name in columns)
    assert columns["mjd_tai"] == "double"
    assert f"lightcurve_{namespace} " in text


def test_movers_have_a_table_of_their_own() -> None:
    assert create_lightcurves("lsst_ss") == create_lightcurves("lsst").replace("lightcurve_lsst", "lightcurve_lsst_ss")


def test_unknown_name_space() -> None:
    with pytest.raises(KeyError):
        create_lightcurves("atlas")
