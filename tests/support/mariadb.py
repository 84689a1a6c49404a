"""A private MariaDB server for tests: its own folder, a socket, no network, no configuration of the machine."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql

_START_S = 60.0
_STOP_S = 30.0


@dataclass(frozen=True)
class Server:
    """A running server; connect through its socket."""

    socket: Path

    def connect(self, database: str = "", **options: Any) -> pymysql.connections.Connection[Any]:
        """A connection as the account that owns the server."""
        return pymysql.connect(
            unix_socket=str(self.socket),
            user="root",
            database=database or None,
            charset="utf8mb4",
            autocommit=True,
            **options,
        )


def _program(*names: str) -> str:
    folders = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    for name in names:
        found = shutil.which(name, path=folders)
        if found:
            return found
    raise FileNotFoundError(f"none of {', '.join(names)} is installed; on Debian: apt-get install mariadb-server")


@contextmanager
def private_server() -> Iterator[Server]:
    """A server that ends with the block, and its folder with it."""
    # A socket's path has at most 107 characters, so not pytest's own deep folders.
    with tempfile.TemporaryDirectory(prefix="lmdb") as folder:
        base = Path(folder)
        user = [f"--user={getpass.getuser()}"]
        with (base / "log").open("wb") as log:
            subprocess.run(
                [
                    _program("mariadb-install-db", "mysql_install_db"),
                    "--no-defaults",
                    f"--datadir={base / 'data'}",
                    "--auth-root-authentication-method=normal",
                    "--skip-test-db",
                    *user,
                ],
                check=True,
                stdout=log,
                stderr=log,
                timeout=_START_S,
            )
            process = subprocess.Popen(
                [
                    _program("mariadbd", "mysqld"),
                    "--no-defaults",
                    *user,
                    f"--datadir={base / 'data'}",
                    f"--socket={base / 's'}",
                    f"--pid-file={base / 'pid'}",
                    "--skip-networking",
                    "--skip-name-resolve",
                    "--innodb-buffer-pool-size=64M",
                    "--innodb-flush-log-at-trx-commit=0",
                ],
                stdout=log,
                stderr=log,
            )
        server = Server(base / "s")
        try:
            _wait(server, process, base / "log")
            yield server
        finally:
            process.terminate()
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(server: Server, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + _START_S
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(str(server.socket)) == 0:
                server.connect().close()
                return
        time.sleep(0.05)
    raise RuntimeError(f"the private MariaDB did not start:\n{log.read_text(errors='replace')[-2000:]}")
