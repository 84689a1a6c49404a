from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from lasair.cli.objects import lightcurve_command, links_command, object_command
from lasair.errors import NotFound, StoreUnavailable
from tests.unit.cli.tagged import LONELY, LSST, TWIN, ZTF, make, run


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    state = tmp_path_factory.mktemp("tagged") / "state"
    make(state)
    return state


def facts(capsys: pytest.CaptureFixture[str], state: Path, name: object, code: int = 0) -> dict[str, Any]:
    done, out, _ = run(capsys, object_command, str(name), "--format", "json", "--state", state)
    assert done == code
    found: dict[str, Any] = json.loads(out)
    return found


def test_an_object_with_all_that_is_known_of_it(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = facts(capsys, whole, LSST)
    assert found["objects"]["diaObjectId"] == LSST and found["lightcurve"]["detection"] == 3
    twin, ztf = found["links"]
    assert (twin.pop("separation_arcsec"), ztf.pop("separation_arcsec")) == pytest.approx((0.4, 1.1))
    assert twin == {
        "survey": "lsst", "object": TWIN, "kind": "duplicate", "detections": 3, "last_mjd_tai": 60002.25,
    }  # fmt: skip
    assert (ztf["survey"], ztf["object"], ztf["kind"], ztf["detections"]) == ("ztf", ZTF, "other survey", 7)
    assert ztf["last_mjd_tai"] == pytest.approx(60010.25 + 37 / 86400, abs=1e-7)
    assert [(one["wl_id"], one["list"], one["name"], one["triggered"]) for one in found["watchlists"]] == [
        (1, "TNS", "2024abc", 1),
        (2, "quasars", "3C 273", 0),
    ]
    assert found["areas"] == [{"ar_id": 1, "list": "COSMOS"}]
    (event,) = found["events"]
    assert (event["event"], event["contour"], event["distance"]) == ("S230518h", 12.5, None)
    (tns,) = found["tns"]
    assert (tns["tns_name"], tns["type"], tns["z"]) == ("2024abc", "SN Ia", 0.05)
    (said,) = found["annotations"]
    assert (said["topic"], said["classification"], said["version"]) == ("fink", "SN candidate", "3")
    assert said["classdict"] == {"p": 0.9} and said["explanation"] is None
    assert [(one["tag_id"], one["name"]) for one in found["tags"]] == [(1, "good")]
    (note,) = found["notes"]
    assert note["text"].startswith("worth a spectrum") and note["owner"] == "local"
    assert not any("diaObjectId" in one for part in ("watchlists", "areas", "annotations") for one in found[part])


def test_an_object_for_people(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, object_command, str(LSST), "--state", whole)
    for line in (
        "near-duplicate",
        f"{TWIN} at 0.40 arcsec, 3 detections, last at MJD 60002.25000",
        f"{ZTF} at 1.10 arcsec, 7 detections",
        "quasars, 3C 273 at 0.00 arcsec, not triggered",
        "contour 12.50 %",
        "SN 2024abc, SN Ia, z = 0.05",
        "SN candidate, version 3, 2023-11-14",
        "worth a spectrum  really",
    ):
        assert line in out
    assert "\t" not in out


def test_the_other_survey_and_one_without_anything(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = facts(capsys, whole, ZTF)
    assert [(one["object"], one["kind"]) for one in found["links"]] == [
        (LSST, "other survey"),
        (TWIN, "other survey"),
    ]
    assert found["watchlists"] == found["annotations"] == found["notes"] == []
    lonely = facts(capsys, whole, LONELY)
    parts = ("links", "watchlists", "areas", "events", "tns", "annotations", "tags", "notes")
    assert [lonely[part] for part in parts] == [[]] * len(parts)
    with pytest.raises(NotFound, match="no object 7 here"):
        run(capsys, object_command, "7", "--state", whole)


@pytest.mark.parametrize(
    ("file", "hidden"),
    [
        ("objects.db", ("links", "watchlists", "areas", "events", "tns", "objects", "sherlock")),
        ("marks.db", ("annotations", "tags")),
        ("definitions.db", ("notes",)),
        ("sherlock.db", ("classified",)),
    ],
)
def test_a_damaged_store_does_not_hide_the_rest(
    file: str, hidden: tuple[str, ...], whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "state"
    shutil.copytree(whole, state)
    (state / file).write_bytes(b"not a database at all" * 400)
    expected, found = facts(capsys, whole, LSST), facts(capsys, state, LSST, 1)
    if file == "definitions.db":
        # the names of lists stand there
        for part in ("watchlists", "areas"):
            expected[part] = [{**one, "list": None} for one in expected[part]]
    assert found == {**expected, **dict.fromkeys(hidden)}
    code, _, err = run(capsys, object_command, str(LSST), "--state", state)
    assert code == 1 and err.count("lasair: ") == 1 and file in err


def test_a_state_without_marks_and_definitions(whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = tmp_path / "state"
    shutil.copytree(whole, state)
    for file in [*state.glob("marks.db*"), *state.glob("definitions.db*")]:
        file.unlink()
    found = facts(capsys, state, LSST)
    assert found["annotations"] == found["tags"] == found["notes"] == []
    assert [one["list"] for one in found["watchlists"]] == [None, None]


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_light_curves_of_one_place_together(whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def rows(*more: str) -> list[dict[str, str]]:
        code, out, _ = run(capsys, lightcurve_command, str(LSST), *more, "--format", "csv", "--state", str(whole))
        assert code == 0
        return rows_of(out)

    alone, together = rows(), rows("--linked")
    assert len(alone) == 5 and "object" not in alone[0]
    assert [{k: v for k, v in one.items() if k != "object"} for one in together[:5]] == alone
    assert [one["object"] for one in together] == [str(LSST)] * 5 + [str(TWIN)] * 3 + [ZTF] * 4
    # one scale: magnitude 23.4 is 1585 nJy
    assert float(together[8]["flux_nJy"]) == pytest.approx(10 ** (0.4 * (31.4 - 23.4)), rel=1e-5)
    assert [one["object"] for one in rows("--linked", "--to", "60001.5")] == [str(LSST), ZTF]
    picture = tmp_path / "a.png"
    run(capsys, lightcurve_command, str(LSST), "--linked", "--plot", picture, "--state", whole)
    assert picture.read_bytes().startswith(b"\x89PNG")
    code, out, _ = run(capsys, lightcurve_command, ZTF, "--linked", "--format", "votable", "--state", whole)
    assert code == 0 and 'name="object"' in out


def test_a_light_curve_without_the_main_database(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "state"
    shutil.copytree(whole, state)
    (state / "objects.db").write_bytes(b"not a database at all" * 400)
    code, out, err = run(capsys, lightcurve_command, str(LSST), "--linked", "--format", "csv", "--state", state)
    assert code == 1 and len(rows_of(out)) == 5 and "objects.db" in err


def test_all_links(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, links_command, "--format", "csv", "--state", whole)
    found = rows_of(out)
    assert [(one["survey"], one["object"], one["other_survey"], one["other_object"], one["kind"]) for one in found] == [
        ("lsst", str(LSST), "lsst", str(TWIN), "duplicate"),
        ("lsst", str(LSST), "ztf", ZTF, "other survey"),
        ("lsst", str(TWIN), "ztf", ZTF, "other survey"),
    ]
    assert [float(one["separation_arcsec"]) for one in found] == pytest.approx([0.4, 1.1, 1.5], abs=1e-6)
    for survey, count in (("lsst", 1), ("ztf", 0), ("both", 3)):
        _, out, _ = run(capsys, links_command, "--survey", survey, "--format", "json", "--state", whole)
        assert len(json.loads(out)) == count
    _, out, err = run(capsys, links_command, "--limit", "2", "--format", "csv", "--state", whole)
    assert len(rows_of(out)) == 2 and "there are 3 pairs" in err


def test_links_need_the_main_database(whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = tmp_path / "state"
    shutil.copytree(whole, state)
    (state / "objects.db").write_bytes(b"not a database at all" * 400)
    with pytest.raises(StoreUnavailable, match=r"objects\.db"):
        run(capsys, links_command, "--state", state)
