"""Command line program ``tddfa``: every public module of this package defines the subcommand of its name as ``command``.

A subcommand's module is imported only when it is called or listed, and imports heavy libraries inside its functions.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
import sys
from collections.abc import Sequence

import click

from tddfa_ros.errors import TddfaError
from tddfa_ros.version import __version__

EXIT_ERROR = 2
EXIT_INTERRUPTED = 130

# Since click 8.2 a group without arguments raises this, with the help as its text.
_HELP_WANTED = getattr(click.exceptions, "NoArgsIsHelpError", ())


class Subcommands(click.Group):
    """Click group whose commands are the modules of this package."""

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

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Look up the subcommand of an argument list; suggest similar names for an unknown one."""
        known = self.list_commands(ctx)
        if args and not args[0].startswith("-") and args[0] not in known:
            similar = " or ".join(difflib.get_close_matches(args[0], known, n=2))
            hint = f"did you mean {similar}?" if similar else "see 'tddfa --help'"
            ctx.fail(f"there is no command {args[0]!r}; {hint}")
        return super().resolve_command(ctx, args)


@click.command(cls=Subcommands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tddfa", message="%(prog)s %(version)s")
def tddfa() -> None:
    """Dense 3D faces from images, videos and cameras."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit status; 2, with one sentence on stderr, for an error that the user can fix."""
    try:
        status = tddfa.main(args=arguments, prog_name="tddfa", standalone_mode=False)
        return status if isinstance(status, int) else 0
    except click.ClickException as error:
        if isinstance(error, _HELP_WANTED):
            error.show()
            return EXIT_ERROR
        print(f"error: {' '.join(error.format_message().split())}", file=sys.stderr)
    except TddfaError as error:
        print(f"error: {error}", file=sys.stderr)
    except click.Abort:
        return EXIT_INTERRUPTED
    return EXIT_ERROR
