from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lasair.catalogues.sky import Sky
from lasair.sherlock.wide import WideIndex


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), sources=st.integers(0, 300), reach=st.sampled_from([20.0, 200.0, 3000.0, 2e4]))
def test_the_same_sources_as_by_looking_at_all(seed: int, sources: int, reach: float) -> None:
    rng = np.random.default_rng(seed)
    centre = rng.uniform(0, 360), np.degrees(np.arcsin(rng.uniform(-1, 1)))
    width = 6.0 * min(reach, 18_000.0) / 3600.0

    def places(n: int) -> Sky:
        decl = np.clip(centre[1] + rng.uniform(-width, width, n), -90, 90)
        return Sky(centre[0] + rng.uniform(-width, width, n) / max(np.cos(np.radians(centre[1])), 0.02), decl)

    of_sources, sky = places(sources), places(50)
    reaches = rng.uniform(0.0, reach, sources)
    index = WideIndex(of_sources.ra, of_sources.decl, np.arange(sources) * 7, reaches)
    found = index.find(sky)
    chords = np.linalg.norm(sky.vectors[:, None] - of_sources.vectors[None], axis=2)
    apart = np.degrees(2 * np.arcsin(np.minimum(chords / 2, 1.0))) * 3600.0
    position, which = np.nonzero(apart <= np.minimum(reaches, 18_000.0))
    assert list(zip(found.position.tolist(), found.row.tolist(), strict=True)) == list(
        zip(position.tolist(), (which * 7).tolist(), strict=True)
    )
