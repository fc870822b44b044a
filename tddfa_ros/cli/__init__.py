"""Command line program ``tddfa``: every public module of this package defines the subcommand of its name as ``command``.

A subcommand's module is imported only when it is called or listed, and imports heavy libraries inside its functions.
"""

from __future__ import annotations

import importlib
import io
import os
import pkgutil
import sys
from collections.abc import Sequence

import click

from tddfa_ros.cli._files import Group
from tddfa_ros.errors import TddfaError
from tddfa_ros.names import printable
from tddfa_ros.version import __version__

EXIT_FAILED_ITEMS = 1
"""Of a run over many items that went on after some failed."""

EXIT_ERROR = 2
EXIT_INTERRUPTED = 130

# Since click 8.2 a group without arguments raises this, with the help as its text.
_HELP_WANTED = getattr(click.exceptions, "NoArgsIsHelpError", ())


class Subcommands(Group):
    """Group whose commands are the modules of this package."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all subcommands."""
        return sorted(
            m.name.replace("_", "-") for m in pkgutil.iter_modules(__path__) if m.name[0] != "_"
        )

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one subcommand; return None if there is no such module."""
        if cmd_name not in self.list_commands(ctx):
            return None
        module = importlib.import_module(f"{__name__}.{cmd_name.replace('-', '_')}")
        command = module.command
        assert isinstance(command, click.Command)
        return command


@click.command(cls=Subcommands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tddfa", message="%(prog)s %(version)s")
def tddfa() -> None:
    """Dense 3D faces from images, videos and cameras."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit status; 2, with one sentence on stderr, for an error that the user can fix."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(
            stream, io.TextIOWrapper
        ):  # names of files need not be in the terminal's encoding
            stream.reconfigure(errors="backslashreplace")
    try:
        status = tddfa.main(args=arguments, prog_name="tddfa", standalone_mode=False)
        return status if isinstance(status, int) else 0
    except click.ClickException as error:
        if isinstance(error, _HELP_WANTED):
            error.show()
            return EXIT_ERROR
        print(f"error: {printable(' '.join(error.format_message().split()))}", file=sys.stderr)
    except TddfaError as error:
        print(f"error: {printable(error)}", file=sys.stderr)
    except OSError as error:
        if error.errno is None:  # raised by a library, not by the operating system
            raise
        named = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
        print(f"error: {printable(named)}{error.strerror}", file=sys.stderr)
    except click.Abort:
        return EXIT_INTERRUPTED
    return EXIT_ERROR
