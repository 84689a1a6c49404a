"""Runs commands of `lasair` in this process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest

from lasair.errors import LasairError
from tests.support.definitions import new_definitions


class Commands:
    """Runs one command's subcommands on a state folder; what they said is in `out` and `err`."""

    def __init__(self, state: Path, capsys: pytest.CaptureFixture[str], *, made: bool = True) -> None:
        """`made` : with definitions, though nobody has defined anything."""
        self.state, self._capsys = state, capsys
        if made:
            new_definitions(state)
        self.out = self.err = ""

    def __call__(self, command: click.Command, *arguments: object, code: int = 0) -> str:
        """Run it; its exit code must be `code`. What it printed."""
        try:
            ended = command.main([*map(str, arguments), "--state", str(self.state)], "lasair", standalone_mode=False)
        except LasairError as err:
            ended = 1
            click.echo(f"lasair: {err}", err=True)
        except click.UsageError as usage:
            ended = 2
            click.echo(usage.format_message(), err=True)
        self.out, self.err = self._capsys.readouterr()
        assert (ended or 0) == code, (arguments, self.out, self.err)
        return self.out

    def json(self, command: click.Command, *arguments: object) -> Any:
        """What it printed as JSON."""
        return json.loads(self(command, *arguments, "--format", "json"))
