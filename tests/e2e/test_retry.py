"""A schema that arrives later: the packets that lacked it are dead letters until they are tried again."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from lasair.simulate.profiles import simulate
from lasair.simulate.write import write

# nothing listens there: the registry is down
ENVIRONMENT = {**os.environ, "LASAIR_SCHEMA_REGISTRY": "http://127.0.0.1:9", "LASAIR_DURABLE": "false"}


def test_dead_letters_can_be_tried_again(tmp_path: Path) -> None:
    made = tmp_path / "made"
    write("test", made, seed=8, n=None)
    packets = tmp_path / "packets"
    packets.mkdir()
    for i, one in enumerate(simulate("lsst-year", seed=8, n=20)):
        (packets / f"{i:03}.bin").write_bytes(one.value)

    def lasair(*arguments: str, cache: str) -> Any:
        environment = {**ENVIRONMENT, "LASAIR_STATE": str(tmp_path / "state"), "XDG_CACHE_HOME": str(tmp_path / cache)}
        command = [sys.executable, "-m", "lasair.cli.main", *arguments, "--json"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    first = lasair("run", str(packets), cache="cache")
    assert first["run"]["set_aside"] == first["run"]["read"] == 20
    again = lasair("dead-letters", "retry", "--schemas", str(made / "schemas"), cache="cache")
    assert again == {"tried": 20, "decoded": 20, "stored": 20, "left": 0}
    books = lasair("ledger", cache="cache")
    assert books["closes"]
    assert (books["total"]["read"], books["total"]["stored"], books["total"]["set_aside"]) == (20, 20, 0)
    # a later reading finds duplicates only, and needs no schema folder: the cache has it
    shutil.rmtree(made)
    assert lasair("dead-letters", "retry", cache="cache")["tried"] == 0
