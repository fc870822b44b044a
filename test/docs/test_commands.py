"""Commands in the documentation: programs, subcommands, flags, values, parameters and topics exist."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from support.documents import DOCS, PAGES, ROOT, blocks, commands, name_of, spans, tddfa_words

from tddfa_ros.cli import tddfa

COMMANDS = [found for page in PAGES for block in blocks(page) for found in commands(block)]
OURS = [(where, given) for where, words in COMMANDS if (given := tddfa_words(words)) is not None]
ROS_PAGES = {page.stem: page.read_text(encoding="utf-8") for page in (DOCS / "ros").glob("*.md")}
NODES = yaml.safe_load((ROOT / "config/face.yaml").read_text(encoding="utf-8"))


def walk(words: Sequence[str]) -> tuple[click.Command, list[str]]:
    """Return the subcommand that the words name, and its arguments.

    Raises:
        click.UsageError: there is no such subcommand.
    """
    command: click.Command = tddfa
    rest = list(words)
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        found = command.get_command(click.Context(command), rest[0])
        if found is None:
            raise click.UsageError(f"there is no subcommand {rest[0]}")
        command = found
        rest.pop(0)
    return command, rest


def parse(words: Sequence[str]) -> None:
    """Parse a command with click without running it; raise UsageError if it is invalid.

    Files need not exist, and eager options such as ``--help`` print nothing.
    """
    command, rest = walk(words)
    if isinstance(command, click.Group) and rest in ([], ["--help"]):
        return
    command.make_context(
        command.name, [word for word in rest if word not in ("--help", "-h")] or []
    )


def flags(command: click.Command) -> set[str]:
    context = click.Context(command, help_option_names=["-h", "--help"])
    return {
        flag
        for option in command.get_params(context)
        for flag in (*option.opts, *option.secondary_opts)
    }


@pytest.fixture
def no_files_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    convert: Callable[..., Any] = click.Path.convert

    def named(self: click.Path, value: Any, param: Any, ctx: Any) -> Any:
        if self.type is Path or isinstance(value, str):
            return Path(value) if self.type is Path else value
        return convert(self, value, param, ctx)

    monkeypatch.setattr(click.Path, "convert", named)


@pytest.mark.parametrize(("where", "words"), OURS, ids=[where for where, _ in OURS])
def test_every_command_parses(where: str, words: list[str], no_files_needed: None) -> None:
    if "--help" in words or "-h" in words:
        walk([word for word in words if word not in ("--help", "-h")])
        return
    parse(words)


@pytest.mark.parametrize(
    "words",
    [
        ["image", "photo.jpg"],
        ["image", "photo.jpg", "-o", "out", "--output-everything"],
        ["image", "photo.jpg", "-o", "out", "--min-confidence", "2"],
        ["video", "0", "--smooth", "gauss"],
        ["modells", "list"],
        ["models", "lists"],
        ["doctor", "--measure=yes"],
    ],
)
def test_detects_wrong_commands(words: list[str], no_files_needed: None) -> None:
    with pytest.raises(click.UsageError):
        parse(words)


def test_finds_commands() -> None:
    assert len(OURS) > 35
    assert {name_of(page) for page in PAGES} > {"README.md", "docs/faq.md", "docs/guide/videos.md"}


def mentioned() -> Iterator[tuple[str, str]]:
    """Yield inline commands, such as `tddfa image` or `tddfa models fetch NAME --from FILE`."""
    for page in PAGES:
        for where, text in spans(page):
            if re.match(r"tddfa( |$)", text) or text.startswith("ros2 run tddfa_ros tddfa"):
                yield where, re.sub(r"^(ros2 run tddfa_ros )?tddfa ?", "", text)


def test_inline_subcommands_and_flags_exist() -> None:
    wrong = []
    for where, text in mentioned():
        try:
            command, _ = walk(re.sub(r"[\[\]|]|\.\.\.", " ", text).split())
        except click.UsageError as error:
            wrong.append(f"{where}: {error.message}")
            continue
        wrong += [
            f"{where}: {flag}"
            for flag in re.findall(r"(?<![\w-])--?[a-z][a-z0-9-]*", text)
            if flag not in flags(command)
        ]
    assert wrong == []


def test_inline_flags_belong_to_a_command() -> None:
    """An inline flag such as `--overwrite` belongs to ``tddfa`` or to a program that the page runs."""
    ours = set().union(*(flags(command) for command, _ in leaves(tddfa)))
    foreign = {
        "--ros-args",
        "--show-args",
        "--break-system-packages",
        "--nproc-per-node",
        "--system-site-packages",
    }
    wrong = [
        where
        for page in PAGES
        for where, text in spans(page)
        if (found := re.match(r"(--[a-z][a-z0-9-]*)", text)) and found[1] not in ours | foreign
    ]
    assert wrong == []


def leaves(group: click.Group, prefix: str = "") -> Iterator[tuple[click.Command, str]]:
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        if isinstance(command, click.Group):
            yield from leaves(command, f"{prefix}{name} ")
        elif command is not None:
            yield command, f"{prefix}{name}"


@pytest.mark.parametrize("name", [name for _, name in leaves(tddfa)])
def test_every_subcommand_is_documented(name: str) -> None:
    """Every command appears on a page other than the generated ``docs/cli.md``."""
    pages = [
        *(DOCS / "guide").glob("*.md"),
        *(DOCS / "ros").glob("*.md"),
        DOCS / "training.md",
        ROOT / "models/README.md",
    ]
    assert any(f"tddfa {name}" in page.read_text(encoding="utf-8") for page in pages)


# --- ROS ---


def ros(*start: str) -> list[tuple[str, list[str]]]:
    count = len(start)
    inline = [(where, text.split()) for page in PAGES for where, text in spans(page)]
    return [
        (w, words[count:]) for w, words in [*COMMANDS, *inline] if tuple(words[:count]) == start
    ]


def launch_arguments() -> dict[str, set[str]]:
    rows = re.search(r"<!-- launch-arguments -->(.*?)<!-- /", ROS_PAGES["README"], re.S)
    assert rows
    found = {}
    for row in re.findall(r"^\| `(\w+)` \|.*\| (.*) \|$", rows[1], re.M):
        choices = re.search(r"\((`\w+`(?:, `\w+`)+)\)$", row[1])
        found[row[0]] = set(re.findall(r"`(\w+)`", choices[1])) if choices else set()
    return found


def test_launch_arguments_and_choices_exist() -> None:
    known, wrong = launch_arguments(), []
    shown = ros("ros2", "launch", "tddfa_ros")
    loose = [
        (where, [text])
        for page in PAGES
        for where, text in spans(page)
        if re.match(r"\w+:=\S+$", text)
    ]
    for where, words in [*((w, rest[1:]) for w, rest in shown), *loose]:
        for word in words:
            name, _, value = word.partition(":=")
            if word == "--show-args":
                continue
            choices = known.get(name)
            if choices is None or (choices and value not in choices and not value.startswith("<")):
                wrong.append(f"{where}: {word}")
    assert len(shown) > 5 and wrong == []
    assert all((ROOT / "launch" / rest[0]).is_file() for _, rest in shown)


def test_parameters_in_commands_exist() -> None:
    wrong = []
    for where, words in ros("ros2", "param", "set"):
        node, name = words[0].strip("/"), words[1]
        wrong += [] if f"`{name}`" in parameter_rows(node, live=True) else [f"{where}: {name}"]
    for where, words in ros("ros2", "run", "tddfa_ros"):
        for word in words:
            if ":=" in word and not word.startswith("__"):
                name = word.split(":=")[0]
                wrong += (
                    []
                    if f"`{name}`" in parameter_rows(words[0], live=False)
                    else [f"{where}: {name}"]
                )
    assert wrong == []


def parameter_rows(node: str, live: bool) -> str:
    """Return the table rows of a node's parameters; for ``face_system``, those of all nodes."""
    nodes = [name.rpartition("/")[2] for name in NODES] if node == "face_system" else [node]
    page = ROS_PAGES["parameters"]
    tables = [re.search(rf"<!-- parameters {name} -->(.*?)<!-- /", page, re.S) for name in nodes]
    rows = "\n".join(table[1] for table in tables if table)
    return "\n".join(row for row in rows.splitlines() if not live or re.search(r"\| yes \|", row))


def test_topics_in_commands_exist() -> None:
    table = re.search(r"<!-- topics -->(.*?)<!-- /topics", ROS_PAGES["topics"], re.S)
    assert table
    known = {f"/{name.strip('/')}" for name in re.findall(r"^\| `([^`]+)`", table[1], re.M)}
    shown = [
        (where, word)
        for verb in ("hz", "echo", "info", "delay", "bw")
        for where, words in ros("ros2", "topic", verb)
        for word in words
        if word.startswith("/") and not word.startswith("/camera/")
    ]
    assert shown
    assert [item for item in shown if re.sub(r"/f\d+/", "/<id>/", item[1]) not in known] == []


def test_executables_and_scripts_exist() -> None:
    setup = (ROOT / "setup.py").read_text(encoding="utf-8")
    known = set(re.findall(r'f"(\w+) = ', setup))
    assert [
        where for where, words in ros("ros2", "run", "tddfa_ros") if words[0] not in known
    ] == []
    scripts = [
        (w, words[1]) for w, words in COMMANDS if words[0] == "python" and words[1].endswith(".py")
    ]
    inline = [
        (where, text.split()[1])
        for page in PAGES
        for where, text in spans(page)
        if re.match(r"python \S+\.py", text)
    ]
    assert [where for where, script in [*scripts, *inline] if not (ROOT / script).is_file()] == []


def test_yaml_blocks_load(tmp_path: Path) -> None:
    from tddfa_ros.config import load_config
    from tddfa_ros.makeup import preset_from_dict

    (tmp_path / "flag.png").write_bytes((ROOT / "config/makeup/stripes.png").read_bytes())
    found = [block for page in PAGES for block in blocks(page) if block.language == "yaml"]
    assert found
    for block in found:
        values = yaml.safe_load(block.text)
        if block.page.stem == "makeup":
            preset_from_dict(values, tmp_path)
        else:
            load_config(values)


def test_extras_exist() -> None:
    setup = (ROOT / "setup.py").read_text(encoding="utf-8")
    section = re.search(r"extras_require=\{(.*?)\n    \}", setup, re.S)
    assert section
    known = set(re.findall(r'"(\w+)": \[', section[1]))
    named = [
        (name_of(page), extra)
        for page in PAGES
        for group in re.findall(r"(?:tddfa_ros|'\.)\[([\w,]+)\]", page.read_text(encoding="utf-8"))
        for extra in group.split(",")
    ]
    assert named and [item for item in named if item[1] not in known] == []
