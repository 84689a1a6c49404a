from __future__ import annotations

import subprocess
import sys

import pytest

from lasair.cli.main import COMMANDS, cli, main


def test_every_command_is_there_with_its_help() -> None:
    for name in COMMANDS:
        command = cli.get_command(cli.make_context("lasair", ["--help"], resilient_parsing=True), name)
        assert command is not None and command.help


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom lasair.cli.main import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'numpy', 'numba', 'django', 'pydantic', 'astropy', 'rich', 'sqlglot'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("arguments", "code"), [(["--help"], 0), (["--version"], 0), (["nonsense"], 2), (["run"], 2)])
def test_exit_codes(arguments: list[str], code: int) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == code


def test_profiles_are_the_simulators() -> None:
    from lasair.cli.simulate import PROFILES
    from lasair.simulate import profiles

    assert set(PROFILES) == set(profiles.PROFILES)
