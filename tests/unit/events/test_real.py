"""Real notices and maps; collected only where there are any."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import orjson
import pytest
from astropy.coordinates import Latitude, Longitude
from astropy.io import fits
from cdshealpix import ring
from mocpy import MOC

from lasair.errors import BadDefinition
from lasair.events.read import read_event
from lasair.sky.skymap import SQUARE_DEGREES, Circle, SkyMap
from tests.support.data import DATA
from tests.unit.events.made import told

assert DATA is not None
REAL = sorted((DATA / "multimessenger").glob("*/*"))
NOTICES = [path for path in REAL if path.parent.name in ("gcn_json", "igwn", "voevent")]
MAPS = [path for path in REAL if path.parent.name == "skymaps"]
#: The one example whose map is no map.
BROKEN = "swift_bat_guano.loc_map.example.json"


@pytest.mark.parametrize("path", [path for path in NOTICES if path.name != BROKEN], ids=lambda path: path.name)
def test_real_notices(path: Path) -> None:
    found = read_event(path)
    assert found.name and found.mission and (found.t0 is not None or found.retracted)
    assert (found.localisation is None) == bool(found.why_none)
    assert orjson.dumps(found.params)


@pytest.mark.parametrize("path", [path for path in NOTICES if path.name == BROKEN])
def test_real_notice_with_a_broken_map(path: Path) -> None:
    with pytest.raises(BadDefinition, match="healpix_file: is not base64"):
        read_event(path)


#: file -> name, kind, test, localisation: a circle's radius and containment, or 'map', or part of why there is none
KNOWN: dict[str, tuple[str, str, bool, str | tuple[float, float]]] = {
    "MS181101ab-preliminary.json.gz": ("MS181101ab", "preliminary", True, "map"),
    "MS181101ab-update.json.gz": ("MS181101ab", "update", True, "map"),
    "MS181101ab-retraction.json": ("MS181101ab", "retraction", True, "retracted"),
    "fermi_gbm_trigger.alert.example.json": ("Fermi_745121685", "initial", False, "no position"),
    "fermi_gbm_trigger.ground1.example.json": ("Fermi_745121685", "update", False, (1.34, 0.68)),
    "icecube_single_neutrino_alerts.gold_bronze_track_alerts.example.json": (
        "IceCube_137840_57034692", "initial", False, (0.5, 0.9),
    ),
    "superk_sn_alert.test.example.json": ("Super-Kamiokande_SN.095001.000001", "initial", True, (0.91, 0.68)),
    "icecube_lvk_nu_track_search.example.json": ("IceCube_S230914ak", "initial", False, "lists 2 positions"),
    "swift_bat_Guano.Retraction.example.json": ("Swift_694215995", "retraction", False, "retracted"),
    "AMON_example.xml": ("IceCube_136973_28816141", "initial", False, (1.2755, 0.9)),
    "GRB180116A_Fermi_GBM_Gnd_Pos.xml": ("Fermi_537755817", "update", False, (11.19, 0.68)),
    "SWIFT_1125809-092.xml": ("Swift_1125809", "initial", False, (0.05, 0.9)),
    "GW190814.xml": ("S190814bv", "update", False, "data/LALInference.v1.fits.gz, which is not fetched"),
    "S200105ae_Update.xml": ("S200105ae", "update", False, "gracedb.ligo.org"),
}  # fmt: skip


@pytest.mark.parametrize("path", [path for path in NOTICES if path.name in KNOWN], ids=lambda path: path.name)
def test_what_real_notices_say(path: Path) -> None:
    name, kind, test, where = KNOWN[path.name]
    found = read_event(path)
    assert (found.name, found.kind, found.test) == (name, kind, test)
    if isinstance(where, tuple):
        assert isinstance(found.localisation, Circle)
        assert (found.localisation.radius_deg, found.localisation.containment) == where
    elif where == "map":
        assert isinstance(found.localisation, SkyMap) and len(found.localisation) == 19_200
    else:
        assert where in found.why_none


@pytest.mark.parametrize("folder", [DATA / "multimessenger/igwn"])
def test_real_alerts_follow_each_other(folder: Path) -> None:
    files = ("preliminary.json.gz", "update.json.gz", "retraction.json")
    found = [read_event(folder / f"MS181101ab-{name}") for name in files]
    assert [[a.supersedes(b) for b in found] for a in found] == [
        [True, False, False], [True, True, False], [True, True, True],
    ]  # fmt: skip


@pytest.mark.parametrize("folder", [DATA / "oracles/skymap"])
def test_real_region(folder: Path) -> None:
    # the 90 % region that Lasair's own tools made of the map: the same cells, none more and none less
    found = read_event(folder / "map.fits").localisation
    region = MOC.load(folder / "90.moc", format="fits")
    rng = np.random.default_rng(3)
    ra, decl = rng.uniform(180, 210, 100_000), rng.uniform(-35, 5, 100_000)
    assert found is not None
    contained = found.at(ra, decl).contour <= 90.0
    assert (region.contains_lonlat(Longitude(ra, "deg"), Latitude(decl, "deg")) == contained).all()
    assert contained.sum() > 1000
    assert found.area(90.0) == pytest.approx(region.sky_fraction * 4 * np.pi * SQUARE_DEGREES, rel=1e-6)


@pytest.mark.parametrize("path", [path for path in MAPS if "IPN" in path.name])
def test_real_flat_map(path: Path) -> None:
    found = read_event(path)
    assert (found.name, found.mission, len(found.localisation or ())) == ("GRB220617A", "IPN", 724)  # type: ignore[arg-type]
    with fits.open(path) as file:
        probability = file[1].data["PROBABILITY"].ravel().astype(np.float64)
    rng = np.random.default_rng(4)
    some = probability[probability > 0]
    pick = np.r_[rng.choice(np.flatnonzero(probability), 500), rng.integers(0, len(probability), 500)]
    lon, lat = ring.healpix_to_lonlat(pick.astype(np.uint64), 2048)
    assert found.localisation is not None
    said = found.localisation.at(lon.deg, lat.deg)
    p = probability[pick]
    ranked = np.sort(some)[::-1]
    share = np.cumsum(ranked)
    at_least = np.searchsorted(-ranked, -p, side="right") - 1
    assert said.contour == pytest.approx(np.where(p > 0, 100.0 * share[at_least] / share[-1], 100.0))
    assert said.probdens2 == pytest.approx(p * len(probability) / (4 * np.pi * SQUARE_DEGREES))


@pytest.mark.parametrize("path", [*NOTICES[::3], *MAPS], ids=lambda path: path.name)
def test_real_files_cut_short(path: Path) -> None:
    content = path.read_bytes()
    for share in (0.02, 0.4, 0.97):
        told(content[: int(share * len(content))])
