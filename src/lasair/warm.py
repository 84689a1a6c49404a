"""Compile the numba kernels once, so that no command pays for it: run by ``make install``."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path


def forget_kernels() -> None:
    """Remove compiled kernels: numba does not notice that a function they call in another module has changed."""
    for file in Path(__file__).parent.rglob("__pycache__/*.nb[ic]"):
        file.unlink(missing_ok=True)


def main() -> None:
    """Take a handful of simulated alerts of each survey through the whole chain."""
    import numpy as np

    from lasair.cli.demo import add_sky
    from lasair.cli.filters import add_examples
    from lasair.cli.run import run_paths
    from lasair.cli.state import State
    from lasair.filter.features.bbb import fit_bbb
    from lasair.filter.features.context import Context
    from lasair.packets.batch import empty_batch
    from lasair.simulate.write import SKY_FOLDER, write
    from lasair.sky.areas import AreaIndex
    from lasair.sky.cones import ConeIndex, ConeSegment

    forget_kernels()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="lasair-warm-") as folder:
        write("test", Path(folder) / "packets", seed=1, n=None)
        state = State(Path(folder) / "state")
        add_sky(Path(folder) / "packets" / SKY_FOLDER, state)
        with state.writing():
            add_examples(state)
            run_paths(state, (Path(folder) / "packets",), None)
    ConeIndex.of([ConeSegment.build(1, np.array([1]), np.array([1.0]), np.array([1.0]), np.array([5.0]))]).find(
        [1.0], [1.0]
    )
    AreaIndex().with_area(1, np.array([[0, 5]], np.uint64)).find([1.0], [1.0])
    # fits need light curves longer than these
    fit_bbb(empty_batch("lsst"), Context.unknown(0))
    print(f"kernels compiled in {time.monotonic() - started:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
