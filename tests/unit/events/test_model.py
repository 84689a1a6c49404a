"""Names, windows, what takes the place of what, and what may be fetched."""

from __future__ import annotations

import pytest

from lasair.events.model import Event, event_name, may_fetch
from lasair.events.moments import read_moment


def notice(issued: str | None = None, version: float | None = None) -> Event:
    return Event("a", "", "update", None, None, issued=read_moment(issued) if issued else None, version=version)


def test_names() -> None:
    assert event_name("Einstein Probe", "a/b\0c'; --") == "Einstein_Probe_a_b_c_--"
    assert event_name("", "S260301ab") == "S260301ab"
    assert event_name("é", "//") == ""
    assert len(event_name("x" * 500)) == 128


def test_window() -> None:
    t0 = read_moment("2026-03-01T00:00:00Z")
    assert Event("a", "", "initial", t0, None).window == (t0.mjd_tai, t0.mjd_tai + 21.0)
    assert notice().window is None


def test_what_supersedes_what() -> None:
    early, late = notice("2026-03-01T10:00:00", 5), notice("2026-03-01T10:00:01", 1)
    assert late.supersedes(early) and not early.supersedes(late)
    one, two = notice("2026-03-01T10:00:00", 1), notice("2026-03-01T10:00:00Z", 2)
    assert two.supersedes(one) and not one.supersedes(two)
    assert notice().supersedes(notice()) and notice(version=1).supersedes(late)


@pytest.mark.parametrize(
    ("url", "may"),
    [
        ("https://gracedb.ligo.org/api/superevents/S1/files/bayestar.fits.gz,0", True),
        ("http://heasarc.gsfc.nasa.gov/FTP/fermi/glg_healpix_all_bn240812094.fit", True),
        ("data/LALInference.v1.fits.gz", False),
        ("//gracedb.ligo.org/a", False),
        ("file:///etc/passwd", False),
        ("https://gracedb.ligo.org.example.com/", False),
        ("https://example.com/gracedb.ligo.org", False),
        ("https://gracedb.ligo.org@example.com/", False),
        ("https://me:secret@gracedb.ligo.org/", False),
        ("https://gracedb.ligo.org:8443/", False),
        ("https://gracedb.ligo.org:99999999/", False),
        ("https://example.com\\@gracedb.ligo.org/", False),
        ("https://gracedb.ligo.org/\r\nHost: localhost", False),
        ("http://[::1", False),
        ("http://127.0.0.1/", False),
        ("", False),
    ],
)
def test_what_may_be_fetched(url: str, may: bool) -> None:
    assert may_fetch(url) is may
