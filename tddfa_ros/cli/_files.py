"""Files of commands: parameters declare what is read and what is written, and every command keeps one rule.

A command never writes onto its input, and onto an existing file only with ``--overwrite``; see :mod:`tddfa_ros.targets`. The rule is
checked before the command runs.
"""

from __future__ import annotations

import contextlib
import glob
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from tddfa_ros.targets import check_folder, check_targets

MARK = ".tddfa-outputs"
"""File in an output folder with the commands that filled it, one a line; their outputs may be replaced by the same command."""

_META = "tddfa_ros.overwrite"


class InputPath(click.Path):  # type: ignore[type-arg]
    """A file or folder that the command reads, as :class:`pathlib.Path`."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(path_type=Path, **kwargs)


class InputName(click.ParamType):  # type: ignore[type-arg]
    """A file, folder or pattern that the command reads, or a name, such as that of a model or a camera."""

    name = "text"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        return str(value)


class OutputFile(click.Path):  # type: ignore[type-arg]
    """A file that the command writes.

    Args:
        beside: returns further files written with it.
        checked_by_job: the command itself checks existing files with :func:`tddfa_ros.targets.check_targets`.
        allow_dash: ``-`` is standard output.
        folder: it may also name a folder.
    """

    def __init__(
        self,
        beside: Callable[[Path], Sequence[Path]] = lambda _: (),
        *,
        checked_by_job: bool = False,
        allow_dash: bool = False,
        folder: bool = False,
    ) -> None:
        super().__init__(path_type=Path, dir_okay=folder, allow_dash=allow_dash)
        self.beside = beside
        self.checked_by_job = checked_by_job


class OutputFolder(click.Path):  # type: ignore[type-arg]
    """A folder that the command fills.

    Args:
        patterns: names of the files written to it, for :meth:`pathlib.Path.glob`.
        own: returns whether the folder was filled by the same command, beside those that have a :data:`MARK`.

    Without patterns the command itself checks existing files, because their names follow from its input.
    """

    def __init__(self, *patterns: str, own: Callable[[Path], bool] = lambda _: False) -> None:
        super().__init__(path_type=Path, file_okay=False)
        self.patterns = patterns
        self.own = own


INPUT_FILE = InputPath(dir_okay=False)
INPUT_PATH = InputPath()
EXISTING_FILE = InputPath(dir_okay=False, exists=True)
EXISTING_FOLDER = InputPath(file_okay=False, exists=True)
INPUT_NAME = InputName()
OUTPUT_FILE = OutputFile()


def _remember_overwrite(ctx: click.Context, _: click.Parameter, value: bool) -> bool:
    ctx.meta[_META] = value
    return value


def overwrite_option(function: Any) -> Any:
    """Add ``--overwrite`` to a command that passes it on; to others that write, :class:`Command` adds it itself."""
    return click.option(
        "--overwrite", is_flag=True, callback=_remember_overwrite, help="Overwrite existing files."
    )(function)


class Command(click.Command):
    """Click command that checks its declared outputs against its declared inputs before it runs."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        writes = any(isinstance(p.type, (OutputFile, OutputFolder)) for p in self.params)
        if writes and all(p.name != "overwrite" for p in self.params):
            self.params.append(
                click.Option(
                    ["--overwrite"],
                    is_flag=True,
                    expose_value=False,
                    callback=_remember_overwrite,
                    help="Overwrite existing files.",
                )
            )

    def invoke(self, ctx: click.Context) -> Any:
        """Check the outputs, then run the command."""
        overwrite = bool(ctx.meta.get(_META))
        inputs = self._inputs(ctx)
        files: list[Path] = []
        folders: list[tuple[Path, Sequence[str]]] = []
        for parameter, value in self._values(ctx):
            kind = parameter.type
            if isinstance(kind, OutputFile):
                chosen = [value, *kind.beside(value)]
                if kind.checked_by_job:
                    check_targets([p for p in chosen if not p.is_dir()], inputs, overwrite=True)
                else:
                    files += chosen
            if isinstance(kind, OutputFolder):
                own = self._own(ctx, kind)
                check_folder(value, kind.patterns, inputs, overwrite=overwrite, own=own)
                folders.append((value, kind.patterns))
        check_targets(files, inputs, overwrite=overwrite)
        try:
            return super().invoke(ctx)
        finally:
            for folder, patterns in folders:
                _mark(folder, patterns, ctx.command_path)

    def _values(self, ctx: click.Context) -> list[tuple[click.Parameter, Any]]:
        """All given values of parameters, those of repeated ones one by one."""
        values: list[tuple[click.Parameter, Any]] = []
        for parameter in self.params:
            value = ctx.params.get(parameter.name or "")
            for item in value if isinstance(value, tuple) else (value,):
                if item is not None:
                    values.append((parameter, item))
        return values

    def _inputs(self, ctx: click.Context) -> list[str]:
        found: list[str] = []
        for parameter, value in self._values(ctx):
            if isinstance(parameter.type, InputPath):
                found.append(str(value))
            elif isinstance(parameter.type, InputName) and value:
                path = os.path.expanduser(value)
                matches = glob.glob(path, recursive=True) if glob.has_magic(path) else []
                found += [path] if os.path.exists(path) else matches
        return found

    @staticmethod
    def _own(ctx: click.Context, kind: OutputFolder) -> Callable[[Path], bool]:
        def own(folder: Path) -> bool:
            return kind.own(folder) or ctx.command_path in _marks(folder)

        return own


class Group(click.Group):
    """Click group of such commands that suggests similar names for an unknown one."""

    command_class = Command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Look up the subcommand of an argument list."""
        import difflib

        known = self.list_commands(ctx)
        if args and not args[0].startswith("-") and args[0] not in known:
            similar = " or ".join(difflib.get_close_matches(args[0], known, n=2))
            hint = f"did you mean {similar}?" if similar else f"see '{ctx.command_path} --help'"
            ctx.fail(f"there is no command {args[0]!r}; {hint}")
        return super().resolve_command(ctx, args)


def command(name: str, **kwargs: Any) -> Callable[[Callable[..., Any]], Command]:
    """Decorate a function as a :class:`Command`."""
    return click.command(name, cls=Command, **kwargs)


def group(name: str, **kwargs: Any) -> Callable[[Callable[..., Any]], Group]:
    """Decorate a function as a :class:`Group`."""
    return click.group(name, cls=Group, **kwargs)


def _marks(folder: Path) -> list[str]:
    try:
        return (folder / MARK).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []


def _mark(folder: Path, patterns: Sequence[str], command_path: str) -> None:
    """Note that a command wrote files of these names to a folder."""
    known = _marks(folder)
    with contextlib.suppress(OSError):
        written = any(True for pattern in patterns for _ in folder.glob(pattern))
        if written and command_path not in known:
            (folder / MARK).write_text("\n".join([*known, command_path, ""]), encoding="utf-8")
