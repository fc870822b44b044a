"""Generate the tables of launch arguments, parameters, messages and commands in ``docs/`` from the source.

Run ``python scripts/write_tables.py`` after a change of an option, a launch argument, a message or a command. Each table is between
``<!-- name -->`` and ``<!-- /name -->``; the rest of the page is not changed.
"""

from __future__ import annotations

import ast
import inspect
import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import Field, fields, is_dataclass
from pathlib import Path
from typing import Any

import click
from write_config import NODES

from tddfa_ros.cli import tddfa

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
MESSAGES = ("FaceMeshArray", "FaceMesh", "FaceLandmarksArray", "FaceLandmarks", "FaceTopology")


def tables() -> dict[str, dict[str, str]]:
    """Return all generated tables: page below ``docs/`` -> name of the table -> text."""
    return {
        "ros/README.md": {"launch-arguments": launch_arguments()},
        "ros/parameters.md": {
            f"parameters {name}": parameters(declared()) for name, declared in NODES.items()
        },
        "ros/messages.md": {"messages": "\n".join(map(message, MESSAGES))},
        "cli.md": {"commands": command_index(), "options": command_sections()},
    }


def render(text: str, blocks: Mapping[str, str], page: str) -> str:
    """Replace the given tables in the text of a page.

    Args:
        text: text of the page.
        blocks: name of each table -> its text.
        page: name of the page, for error messages.

    Raises:
        ValueError: the markers of a table do not occur exactly once.
    """
    for name, block in blocks.items():
        pattern = rf"(<!-- {re.escape(name)} -->\n).*?(<!-- /{re.escape(name)} -->)"
        if len(re.findall(pattern, text, re.S)) != 1:
            raise ValueError(f"{page} needs <!-- {name} --> and <!-- /{name} --> exactly once")
        text = re.sub(pattern, lambda m, b=block: f"{m[1]}\n{b}\n{m[2]}", text, flags=re.S)
    return text


def launch_arguments() -> str:
    """Return the table of arguments of ``launch/face.launch.py``, parsed without ``launch``, which has no wheel."""
    tree = ast.parse((ROOT / "launch" / "face.launch.py").read_text(encoding="utf-8"))
    names: dict[str, Any] = {"os": os, "SHARE": ""}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant | ast.List):
            names[ast.unparse(node.targets[0])] = ast.literal_eval(node.value)
    lines = ["| argument | default | meaning |", "|---|---|---|"]
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "DeclareLaunchArgument":
            name = ast.literal_eval(node.args[0])
            given = {k.arg: eval(ast.unparse(k.value), {}, names) for k in node.keywords}
            choices = ", ".join(f"`{choice}`" for choice in given.get("choices", []) if choice)
            meaning = _cell(given["description"] + (f" ({choices})" if choices else ""))
            lines.append(f"| `{name}` | {_code(given['default_value'])} | {meaning} |")
    return "\n".join(lines) + "\n"


def parameters(config: Any) -> str:
    """Return the table of parameters of one node, given the dataclass that declares them."""
    lines = ["| parameter | default | range | live | meaning |", "|---|---|---|---|---|"]
    for name, spec, value in _leaves(config):
        meta = spec.metadata
        shown = str(value).lower() if isinstance(value, bool) else str(value) or '""'
        live = "yes" if meta["runtime"] else ""
        lines.append(
            f"| `{name}` | {_code(shown)} | {_range(meta)} | {live} | {_cell(meta['help'])} |"
        )
    return "\n".join(lines) + "\n"


def message(name: str) -> str:
    """Return the table of fields of a message; the meaning is the first sentence of the comment above the field."""
    comment: list[str] = []
    head, rows = "", []
    text = (ROOT / "tddfa_msgs" / "msg" / f"{name}.msg").read_text(encoding="utf-8")
    for line in text.splitlines():
        if line.startswith("#"):
            comment.append(line.lstrip("# "))
            continue
        head = head or " ".join(comment)
        declared = re.fullmatch(r"(\S+) (\w+)", line)
        if declared:
            kind, field = declared.groups()
            rows.append(f"| `{field}` | `{kind}` | {_cell(_sentence(comment))} |")
        comment = []
    lines = [f"**`tddfa_msgs/{name}`**: {_sentence([head])}.", "", "| field | type | meaning |"]
    return "\n".join([*lines, "|---|---|---|", *rows]) + "\n"


def command_index() -> str:
    """Return the table of all commands of ``tddfa``, with short help and a link to their sections."""
    lines = ["| command | what it does |", "|---|---|"]
    for name, command in _commands(tddfa, ""):
        anchor = f"tddfa-{name.replace(' ', '-')}"
        meaning = _cell(command.get_short_help_str(200).removesuffix("."))
        lines.append(f"| [`tddfa {name}`](#{anchor}) | {meaning} |")
    return "\n".join(lines) + "\n"


def command_sections() -> str:
    """Return one section per command of ``tddfa``: usage, help and a table of its options."""
    return "\n".join(_section(name, command) for name, command in _commands(tddfa, ""))


def _section(name: str, command: click.Command) -> str:
    context = click.Context(command, info_name=f"tddfa {name}")
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    text = inspect.cleandoc(command.help or "").replace("\b\n", "").replace("<", "&lt;")
    lines = [f"## tddfa {name}", "", "```text", usage, "```", "", text, ""]
    options = [p for p in command.params if isinstance(p, click.Option) and not p.hidden]
    if options:
        lines += ["| option | meaning |", "|---|---|", *map(_option, options), ""]
    return "\n".join(lines)


def _option(option: click.Option) -> str:
    """Return the row of an option: names, value, help, default and range."""
    kind = option.type
    value = option.metavar or kind.name.upper().removesuffix(" RANGE")
    if isinstance(kind, click.Choice):
        value = option.metavar or "|".join(map(str, kind.choices))
    names = ", ".join(option.opts)
    if option.secondary_opts:
        names += " / " + ", ".join(option.secondary_opts)
    shown = names if option.is_flag or option.count else f"{names} {value}"
    notes = []
    if option.show_default and option.default is not None:
        default = option.show_default if isinstance(option.show_default, str) else option.default
        notes.append(f"default: {str(default).lower() if isinstance(default, bool) else default}")
    low, high = getattr(kind, "min", None), getattr(kind, "max", None)
    if low is not None or high is not None:
        both = low is not None and high is not None
        one = f"at most {high}" if low is None else f"at least {low}"
        notes.append(f"{low} to {high}" if both else one)
    notes += ["required"] if option.required else []
    notes += ["may be repeated"] if option.multiple else []
    meaning = " ".join(filter(None, [option.help, f"[{'; '.join(notes)}]" if notes else ""]))
    return f"| {_code(_bar(shown))} | {_cell(meaning)} |"


def _bar(text: str) -> str:
    return text.replace("|", "\\|")


def _commands(group: click.Group, prefix: str) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from _commands(command, f"{prefix}{name} ")
        elif command is not None:
            yield f"{prefix}{name}", command


def _leaves(config: Any, prefix: str = "") -> Iterator[tuple[str, Field[Any], Any]]:
    for spec in fields(config):
        value = getattr(config, spec.name)
        if is_dataclass(value):
            yield from _leaves(value, f"{prefix}{spec.name}.")
        else:
            yield f"{prefix}{spec.name}", spec, value


def _range(meta: Any) -> str:
    if meta["choices"]:
        return ", ".join(f"`{choice}`" for choice in meta["choices"])
    if meta["min"] is None or meta["max"] is None:
        return ""
    return f"{meta['min']:g} to {meta['max']:g}"


def _sentence(comment: list[str]) -> str:
    """Return the first sentence of a comment without its period, or the part before a list."""
    text = " ".join(comment)
    return re.split(r"(?<!e\.g)(?<!\.\.)\.(?= |$)|:(?= \[)", text, maxsplit=1)[0]


def _code(value: str) -> str:
    return f"`{value}`" if value else ""


def _cell(text: str) -> str:
    """Escape text for a table cell."""
    return text.replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    for page, blocks in tables().items():
        old = (DOCS / page).read_text(encoding="utf-8")
        new = render(old, blocks, f"docs/{page}")
        if new != old:
            (DOCS / page).write_text(new, encoding="utf-8")
            print(f"wrote docs/{page}", file=sys.stderr)
