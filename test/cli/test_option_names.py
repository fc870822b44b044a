"""One option name has one meaning in every subcommand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import click

from tddfa_ros.cli import tddfa

SEVERAL_KINDS = {
    "--list": "dataset and train-attributes read a list file; edit and makeup print a list",
    "--negatives": "dataset cache: number of crops; train: share of crops",
}
"""Option name -> why it takes values of more than one kind."""


def options(group: click.Group, prefix: str = "") -> Iterator[tuple[str, click.Option]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from options(command, f"{prefix}{name} ")
            continue
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                yield f"{prefix}{name}", parameter


def kind(option: click.Option) -> str:
    """Kind of the values of an option: flag, path, integer, float, text, choice, tuple."""
    name = option.type.name.removesuffix(" range")
    is_path = name in ("file", "directory", "path") or option.metavar in ("FILE", "NAME|PATH")
    return "flag" if option.is_flag else "path" if is_path else name


def test_options_of_one_name_take_one_kind_of_value() -> None:
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for command, option in options(tddfa):
        for name in option.opts:
            found[name][kind(option)].append(command)
    several = {name: dict(kinds) for name, kinds in found.items() if len(kinds) > 1}
    assert several.keys() == SEVERAL_KINDS.keys(), several


def test_morphable_model_has_one_name() -> None:
    asked = {
        name
        for _, option in options(tddfa)
        for name in option.opts
        if (option.help or "").startswith("Morphable model")
    }
    assert asked == {"--morphable-model"}


def test_output_has_one_name() -> None:
    names = {name for _, option in options(tddfa) for name in option.opts}
    assert "--out" not in names
    written = [option.opts for _, option in options(tddfa) if "--output" in option.opts]
    assert len(written) > 15 and all(opts == ["-o", "--output"] for opts in written)
