"""`lasair`: the root of the command line. Imports nothing heavy, so that --help answers at once."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

import click

from lasair.cli.parameters import Text
from lasair.errors import LasairError

#: command -> (module under lasair.cli, help line); the command's object has the same name with _ for -
COMMANDS = {
    "demo": ("demo", "Simulate nights of ZTF and LSST and take them through the whole chain."),
    "run": ("run", "Take alert packets from files through the whole chain."),
    "inspect": ("inspect", "Decode packets and show what is in them; stores nothing."),
    "query": ("query", "Ask the database in Lasair SQL."),
    "object": ("objects", "Show what is known of an object."),
    "lightcurve": ("objects", "Print or plot the light curve of an object."),
    "cutout": ("objects", "Save an image of an alert."),
    "cone": ("objects", "List objects near a position, nearest first."),
    "sherlock": ("sherlock", "Say what lies at a position and what an alert there probably is; serve it; compare."),
    "catalogue": ("catalogue", "Add, check, switch and retire catalogues of the sky."),
    "filter": ("filters", "Add, list, show, activate and stop filters."),
    "watchlist": ("watchlists", "Add, list, show, share, refresh and remove lists of cones; try one on points."),
    "area": ("areas", "Add, list, show, share and remove parts of the sky; try one on points."),
    "event": ("events", "Add, list, show and retract gravitational waves, bursts and neutrinos; try one on points."),
    "tns": ("tns", "Bring the copy of the Transient Name Server up to date, and look into it."),
    "annotator": ("annotators", "Add, list, stop and activate programs that say what objects are."),
    "annotate": ("annotations", "Say what an object is, as an annotator."),
    "annotations": ("annotations", "Show annotations; take in those of other brokers."),
    "tag": ("tags", "Put words on objects, for yourself or a group."),
    "note": ("tags", "Write what you think of an object."),
    "group": ("groups", "Add groups and their members."),
    "feed": ("feeds", "Take notices and other brokers' messages from folders or Kafka."),
    "match": ("matching", "Match stored objects with what people have added or changed."),
    "links": ("objects", "List objects that lie at one place."),
    "sky": ("skyplot", "Plot the sky with hits, areas and maps of events."),
    "stream": ("streams", "List and read the streams of active filters."),
    "ledger": ("books", "Print what came in and what became of it; fails when it does not close."),
    "dead-letters": ("books", "List records that could not be used, or try them again."),
    "status": ("books", "Show the last alert, the sizes of the stores and what needs attention."),
    "expire": ("books", "Remove images, stream messages and dead letters that are too old."),
    "simulate": ("simulate", "Write simulated alert packets."),
    "schema": ("schema", "Show tables and columns; fetch packet schemas."),
    "bench": ("bench", "Measure the speed of every stage."),
}


class LazyGroup(click.Group):
    """Lists commands from COMMANDS and imports a command's module only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"lasair.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, cmd_name.replace("-", "_") + "_command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as err:
            from difflib import get_close_matches

            near = get_close_matches(args[0], COMMANDS, 1)
            hint = f"; did you mean '{near[0]}'?" if near else "; 'lasair --help' lists the commands"
            raise click.UsageError(err.message.rstrip(".") + hint, ctx) from err


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Exit codes: 0 good, 1 the work failed, 2 wrong usage. Everything is kept in one state folder: --state, "
    "else the variable LASAIR_STATE, else ./state.",
)
@click.option("--state", type=Text(), metavar="DIR", help="State folder (default: LASAIR_STATE, else ./state).")
@click.version_option(package_name="lasair-broker", prog_name="lasair")
@click.pass_context
def cli(ctx: click.Context, state: str | None) -> None:
    """Lasair, a transient alert broker for ZTF and Rubin LSST.

    Alert packets go in; light curves, images, a database you can ask in SQL and your own streams come out.
    Start with 'lasair demo', or with 'lasair run FOLDER' when you have packets.
    """
    ctx.ensure_object(dict)
    ctx.obj["state"] = state


def main(argv: list[str] | None = None) -> None:
    """Entry point: errors of ours become one line and exit code 1."""
    try:
        result: Any = cli.main(args=argv, prog_name="lasair", standalone_mode=False)
    except click.exceptions.Exit as err:
        sys.exit(err.exit_code)
    except click.Abort:
        click.echo("lasair: stopped", err=True)
        sys.exit(1)
    except click.ClickException as err:
        err.show()
        sys.exit(err.exit_code)
    except LasairError as err:
        click.echo(f"lasair: {err}", err=True)
        sys.exit(1)
    except BrokenPipeError:
        # the reader (head, less) has gone: nothing more to say, also not at interpreter exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OverflowError:
        click.echo("lasair: a number is too large: ids, offsets and limits have at most 63 bits", err=True)
        sys.exit(2)
    except MemoryError:
        click.echo("lasair: there is not enough memory: ask for less, or set a smaller batch_alerts", err=True)
        sys.exit(1)
    except OSError as err:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        click.echo(f"lasair: {err.filename or 'the output'}: {err.strerror or err}", err=True)
        sys.exit(1)
    sys.exit(result if isinstance(result, int) else 0)


if __name__ == "__main__":
    main()
