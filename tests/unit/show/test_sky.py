from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure

from lasair.catalogues.healpix import cells_of
from lasair.errors import BadDefinition, StoreUnavailable
from lasair.show.sky import plot_sky, sky_figure
from lasair.show.sky_content import collect, fullest_field, heart_of, middle_of, on_sky, short
from lasair.sky.skymap import Circle, SkyMap


def ball(n: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    chance = np.random.default_rng(seed)
    return chance.uniform(0, 360, n), np.degrees(np.arcsin(chance.uniform(-1, 1, n)))


def field(ra: float, decl: float, radius: float, n: int) -> tuple[np.ndarray, np.ndarray]:
    chance = np.random.default_rng(5)
    turn, apart = chance.uniform(0, 2 * np.pi, n), radius * np.sqrt(chance.uniform(0, 1, n))
    return (ra + apart * np.sin(turn) / np.cos(np.radians(decl))) % 360, decl + apart * np.cos(turn)


def cells(ra: float, decl: float, order: int) -> np.ndarray:
    """The ranges of the cell that holds a position."""
    cell = int(cells_of(np.array([ra]), np.array([decl]), order)[0])
    return np.array([[cell, cell + 1]], np.uint64) << np.uint64(2 * (29 - order))


def labels(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def marks(figure: Figure, which: str, label: str) -> np.ndarray:
    """Places at which a panel marks the hits of a list."""
    (axes,) = [one for one in figure.axes if one.get_label() == which]
    (found,) = [
        one for one in axes.collections if isinstance(one, PathCollection) and str(one.get_label()).startswith(label)
    ]
    return np.asarray(found.get_offsets())


def test_everything_is_in_the_legend_with_counts() -> None:
    sky = ball(300)
    figure = sky_figure(
        alerts=sky,
        hits={"watchlist 3: quasars": (sky[0][:7], sky[1][:7]), "area 1: none": ([], [])},
        areas={"an area": cells(150, 2, 3)},
        maps={"S230518h": Circle(130, -20, 10, 0.9)},
        title="All",
        what="objects",
    )
    assert labels(figure) == [
        "300 objects",
        "watchlist 3: quasars (7)",
        "area 1: none (0)",
        "an area (53.7 deg²)",
        "S230518h: 50 % in 94.3 deg², 90 % in 313 deg²",
        "Galactic plane",
    ]
    assert "All" in [text.get_text() for text in figure.texts]
    assert len(marks(figure, "sky", "watchlist 3")) == 7
    figure.draw_without_rendering()


def test_hits_in_one_field_are_magnified_and_the_sky_says_where() -> None:
    sky = ball(500)
    hits = field(359.9, -30.0, 1.0, 40)
    figure = sky_figure(alerts=sky, hits={"near": hits}, areas={"cell": cells(0, -30, 8)})
    assert [axes.get_label() for axes in figure.axes] == ["sky", "field"]
    zoom = figure.axes[1]
    assert zoom.get_title().startswith("the field marked above, around 359.")
    assert len(marks(figure, "field", "near")) >= 39 and len(marks(figure, "sky", "near")) == 40
    half = zoom.get_xlim()[1]
    assert 0.9 < half < 1.5
    names = [text.get_text() for text in zoom.get_xticklabels()]
    assert "0°" in names and "359.5°" in names
    # two lines lead from the sky to the field
    assert sum(type(one).__name__ == "ConnectionPatch" for one in figure.axes[0].get_children()) == 2


def test_what_is_everywhere_is_not_magnified() -> None:
    sky = ball(500)
    assert [axes.get_label() for axes in sky_figure(alerts=sky, hits={"all": sky}).axes] == ["sky"]


def test_nothing_at_all_is_a_picture_too(tmp_path: Path) -> None:
    plot_sky(tmp_path / "a.png", alerts=([], []))
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(("ending", "first"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".PDF", b"%PDF")])
def test_the_ending_says_the_form(tmp_path: Path, ending: str, first: bytes) -> None:
    file = tmp_path / f"sky{ending}"
    plot_sky(
        file,
        alerts=field(100, 89.9, 0.05, 50),
        hits={"$\\frac{ _broken\n\x1b[31m 表": field(100, 89.9, 0.05, 5), "_hidden": ([100.0], [89.9])},
        areas={"_area": cells(0, 90, 12)},
        maps={"$_": Circle(0, 90, 0.02, 0.9)},
        title="$\\frac{",
    )
    assert file.read_bytes().startswith(first)


def test_names_from_outside_are_shown_as_they_are() -> None:
    figure = sky_figure(alerts=([1.0], [1.0]), hits={"_a $x$": ([1.0], [1.0]), "b\n\x1b[31m": ([], [])})
    assert labels(figure)[1:3] == ["_a $x$ (1)", "b  [31m (0)"]
    assert short("x" * 100) == "x" * 45 + "…"


def test_wrong_endings_files_and_areas(tmp_path: Path) -> None:
    with pytest.raises(BadDefinition, match=r"\.png, \.svg or \.pdf"):
        plot_sky(tmp_path / "a.jpg", alerts=([], []))
    with pytest.raises(StoreUnavailable, match="cannot write"):
        plot_sky(tmp_path / "none" / "a.png", alerts=([], []))
    with pytest.raises(BadDefinition, match="cells that the sky has not"):
        plot_sky(tmp_path / "a.png", alerts=([], []), areas={"a": np.array([[0, 2**62]])})


def test_of_many_the_largest_lists_keep_their_names() -> None:
    sky = ball(400)
    hits = {f"list {i}": (sky[0][:i], sky[1][:i]) for i in range(1, 21)}
    areas = {f"area {i}": cells(15.0 * i, 0.0, 4) for i in range(20)}
    maps = {f"event {i}": Circle(15.0 * i, 40.0, 3.0, 0.9) for i in range(8)}
    found = labels(sky_figure(alerts=sky, hits=hits, areas=areas, maps=maps))
    assert found[1:11] == [*(f"list {i} ({i})" for i in range(12, 21)), f"11 more lists ({sum(range(1, 12))})"]
    assert [one.split(" (")[0] for one in found[11:18]] == [*(f"area {i}" for i in range(6)), "14 more areas"]
    assert found[18].startswith("event 0: 50 %") and found[24] == "2 more sky maps"


def test_few_hits_are_in_front_of_many() -> None:
    many, few = field(10, 10, 1, 500), field(10, 10, 1, 3)
    figure = sky_figure(alerts=many, hits={"few": few, "many": many})
    by_label = {str(one.get_label()).split()[0]: one for one in figure.axes[1].collections if one.get_label()}
    assert by_label["few"].get_zorder() > by_label["many"].get_zorder()


def test_small_areas_and_maps_are_ringed() -> None:
    figure = sky_figure(
        alerts=ball(300),
        areas={"small": cells(120, 30, 10), "across RA 0": np.concatenate([cells(0.01, 0, 12), cells(359.99, 0, 12)])},
        maps={"circle": Circle(200, -30, 0.1, 0.9), "map": SkyMap(np.array([10]), np.array([5]), np.array([1.0]))},
    )
    drawn = [one for one in figure.axes[0].collections if isinstance(one, PathCollection)]
    rings = [np.asarray(one.get_offsets())[0].tolist() for one in drawn]
    assert len(rings) == 4
    # at the rim, not in the middle between its two parts
    assert sorted(abs(x) for x, _ in rings)[-1] == pytest.approx(2.0, abs=0.01)


def test_many_alerts_become_a_density() -> None:
    figure = sky_figure(alerts=ball(30_000))
    assert len(figure.axes[0].images) == 1 and not any(
        np.size(one.get_xdata()) == 30_000 for one in figure.axes[0].lines
    )


def test_alerts_that_are_nowhere_are_left_out() -> None:
    ra, decl = on_sky(([10.0, np.nan, 370.0, 5.0, np.inf], [0.0, 1.0, 2.0, 91.0, 0.0]))
    assert (ra.tolist(), decl.tolist()) == ([10.0, 10.0], [0.0, 2.0])
    assert labels(sky_figure(alerts=([np.nan], [1.0]), hits={"a": ([np.nan], [np.nan])}))[:2] == ["0 alerts", "a (0)"]


def test_the_heart_of_a_map() -> None:
    assert heart_of(Circle(12.0, -5.0, 1.0, 0.5)) == (12.0, -5.0)
    where = cells_of(np.array([200.0]), np.array([-40.0]), 9)[0]
    found = heart_of(SkyMap(np.array([9, 3]), np.array([where, 5]), np.array([5.0, 1.0])))
    assert found == pytest.approx((200.0, -40.0), abs=0.1)


@given(st.floats(0, 360), st.floats(-90, 90), st.floats(0.01, 2.0), st.integers(1, 40))
@settings(max_examples=40, deadline=None)
def test_the_fullest_field_holds_the_hits(ra: float, decl: float, radius: float, n: int) -> None:
    hits = field(ra, float(np.clip(decl, -88.0, 88.0)), radius, n)
    found = fullest_field(collect(ball(200), {"hits": hits}, {}, {}, "alerts"))
    assert found is not None
    middle = middle_of(*hits)
    assert abs(found.decl - middle[1]) < 0.01 and found.half <= 2.5 * radius + 0.11
