"""Tables in ``docs/`` match the source: topics, parameters, fields, launch arguments, commands and options."""

from __future__ import annotations

import ast
import importlib
import re
from collections import defaultdict
from pathlib import Path

import click
import pytest
import yaml
from support.documents import DOCS, ROOT

NODES = (
    "face_node", "smoothing_node", "visualization_node", "avatar_node", "hri_node", "image_source_node",
)  # fmt: skip
TABLES = {
    **{f"parameters {node}": "ros/parameters.md" for node in NODES},
    "launch-arguments": "ros/README.md",
    "topics": "ros/topics.md",
    "services": "ros/topics.md",
    "messages": "ros/messages.md",
    "commands": "cli.md",
    "options": "cli.md",
}


def block(name: str) -> str:
    text = (DOCS / TABLES[name]).read_text(encoding="utf-8")
    found = re.findall(rf"<!-- {name} -->\n(.*?)<!-- /{name} -->", text, re.S)
    assert len(found) == 1, f"<!-- {name} --> must be in docs/{TABLES[name]} once"
    return found[0]


def table(name: str) -> list[list[str]]:
    """Return the cells of all rows of all tables of a block, without headers."""
    rows = [line for line in block(name).splitlines() if line.startswith(("| `", "| [`"))]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows]


def unquoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]*)`", cell)


# --- generated tables ---


@pytest.fixture
def writer(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module("write_tables")


def test_tables_match_the_source(writer):
    generated = writer.tables()
    assert {name for page in generated.values() for name in page} == set(TABLES) - {
        "topics",
        "services",
    }
    for page, blocks in generated.items():
        text = (DOCS / page).read_text(encoding="utf-8")
        assert writer.render(text, blocks, page) == text, "run: python scripts/write_tables.py"


def test_names_missing_marker(writer):
    blocks = writer.tables()["cli.md"]
    text = (DOCS / "cli.md").read_text(encoding="utf-8")
    with pytest.raises(ValueError, match=r"docs/cli\.md needs <!-- commands -->"):
        writer.render(text.replace("<!-- commands -->", ""), blocks, "docs/cli.md")


@pytest.mark.parametrize("node", NODES)
def test_every_node_parameter_is_listed_with_its_default(node):
    values = yaml.safe_load((ROOT / "config/face.yaml").read_text())
    wanted = {}

    def flatten(tree, prefix=""):
        for name, value in tree.items():
            if isinstance(value, dict):
                flatten(value, f"{prefix}{name}.")
            else:
                wanted[prefix + name] = value

    flatten(values[f"/**/{node}"]["ros__parameters"])
    rows = table(f"parameters {node}")
    found = {unquoted(row[0])[0]: yaml.safe_load(unquoted(row[1])[0]) for row in rows}
    assert found == wanted
    assert all(len(row) == 5 and row[4] for row in rows)


def test_page_lists_nodes_of_the_parameter_file():
    values = yaml.safe_load((ROOT / "config/face.yaml").read_text())
    page = (DOCS / "ros/parameters.md").read_text(encoding="utf-8")
    assert {f"/**/{node}" for node in NODES} == set(values)
    assert set(re.findall(r"<!-- parameters (\w+) -->", page)) == set(NODES)


def test_every_launch_argument_is_listed():
    text = (ROOT / "launch/face.launch.py").read_text()
    names = re.findall(r'DeclareLaunchArgument\(\s*"(\w+)"', text)
    assert len(names) > 10
    assert [unquoted(row[0])[0] for row in table("launch-arguments")] == names


def test_every_message_field_is_listed():
    shown = block("messages")
    parts = re.split(r"\*\*`tddfa_msgs/(\w+)`\*\*", shown)
    found = {
        name: re.findall(r"^\| `(\w+)` \| `([^`]+)`", text, re.M)
        for name, text in zip(parts[1::2], parts[2::2], strict=True)
    }
    wanted = {}
    for path in (ROOT / "tddfa_msgs/msg").glob("*.msg"):
        lines = [line.split("#")[0].split() for line in path.read_text().splitlines()]
        fields = [line for line in lines if len(line) == 2 and "=" not in line[1]]
        wanted[path.stem] = [(name, kind) for kind, name in fields]
    assert found == wanted


def commands() -> dict[str, click.Command]:
    """Return every command of the program by its full name."""
    from tddfa_ros.cli import tddfa

    def leaves(group, prefix):
        for name in group.list_commands(click.Context(group)):
            command = group.get_command(click.Context(group), name)
            if isinstance(command, click.Group):
                yield from leaves(command, f"{prefix} {name}")
            else:
                yield f"{prefix} {name}", command

    return dict(leaves(tddfa, "tddfa"))


def test_every_command_is_listed():
    folder = ROOT / "tddfa_ros/cli"
    files = [*folder.glob("*.py"), *(p.parent for p in folder.glob("*/__init__.py"))]
    modules = {p.stem for p in files if not p.stem.startswith("_")}
    shown = [unquoted(row[0])[0] for row in table("commands")]
    assert sorted(shown) == sorted(commands())
    assert {name.split()[1].replace("-", "_") for name in shown} == modules


@pytest.mark.parametrize("name", commands())
def test_every_option_is_listed_with_its_help(name):
    sections = dict(re.findall(r"(?ms)^## (tddfa [^\n]+)\n(.*?)(?=^## |\Z)", block("options")))
    assert set(sections) == set(commands())
    rows = [
        re.split(r"(?<!\\)\|", row)[1:-1] for row in re.findall(r"(?m)^\| `.*$", sections[name])
    ]
    shown = {tuple(re.findall(r"(?<![\w-])--?[a-zA-Z][\w-]*", row[0])): row[1] for row in rows}
    options = [
        p for p in commands()[name].params if isinstance(p, click.Option) and not p.hidden
    ]  # fmt: skip
    assert set(shown) == {(*option.opts, *option.secondary_opts) for option in options}
    for option in options:
        text = (
            shown[(*option.opts, *option.secondary_opts)].replace("\\|", "|").replace("&lt;", "<")
        )
        assert option.help and option.help in text, option.name
        if option.show_default is True and option.default is not None:
            assert f"default: {str(option.default).lower()}" in text.lower(), option.name


# --- topics and services in the source of the nodes ---


class Endpoints(ast.NodeVisitor):
    """Collect the endpoints that a module creates: (kind, type, name); kind is publisher, subscription or service."""

    def __init__(self, path: Path) -> None:
        self.packages: dict[str, str] = {}
        self.found: set[tuple[str, str, str]] = set()
        self.calls: set[str] = set()
        self.visit(ast.parse(path.read_text(encoding="utf-8")))

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = (node.module or "").split(".")
        if module[-1] in ("msg", "srv"):
            self.packages |= {name.name: module[0] for name in node.names}

    def visit_Call(self, node: ast.Call) -> None:
        self.generic_visit(node)
        called = ast.unparse(node.func).split(".")[-1]
        self.calls.add(called)
        if called == "subscribe_images":
            for kind, name in (("Image", "image_raw"), ("CompressedImage", "image_raw/compressed")):
                self.found.add(("subscription", f"sensor_msgs/{kind}", name))
        if called in ("create_publisher", "create_subscription", "create_service"):
            kind, name = node.args[:2]
            if ast.unparse(kind) in self.packages:  # not the variable in subscribe_images itself
                full = f"{self.packages[ast.unparse(kind)]}/{ast.unparse(kind)}"
                self.found.add((called.removeprefix("create_"), full, self.name_of(name)))

    @staticmethod
    def name_of(node: ast.expr) -> str:
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.JoinedStr):  # names contain no placeholder other than an ID
            return "".join(p.value if isinstance(p, ast.Constant) else "<id>" for p in node.values)
        assert isinstance(node, ast.Call) and ast.unparse(node.func) == "image_topic", (
            f"the test cannot read the topic {ast.unparse(node)}"
        )
        return f"image_raw/{ast.literal_eval(node.args[1])}"


@pytest.fixture(scope="module")
def endpoints():
    """Return (kind, type, name) -> nodes with this endpoint."""
    folder = ROOT / "tddfa_ros" / "nodes"
    # `tddfa watch` is not part of the graph.
    modules = {
        path.relative_to(folder).with_suffix("").as_posix(): Endpoints(path)
        for path in folder.rglob("*.py")
        if path.stem != "watch"
    }
    shared = {
        "FaceOutputs": "face_outputs",
        "FacePublisher": "face_publisher",
        "Diagnostics": "ros/diagnostics",
        "FaceTopics": "hri/topics",
        "CameraInfoInput": "camera_state",
        "DepthInput": "depth_input",
        "ImagePairs": "gaze_input",
    }
    found = defaultdict(set)
    for node in NODES:
        used = [modules[node]]
        for module in used:  # helpers use helpers
            used += [modules[home] for name, home in shared.items() if name in module.calls]
        for module in used:
            for endpoint in module.found:
                found[endpoint].add(node)
    # Every endpoint in the source must belong to one of the nodes.
    assert set(found) == set().union(*(module.found for module in modules.values()))
    return found


def test_every_topic_is_listed_with_type_and_endpoints(endpoints):
    shown = {}
    for name, kind, publishers, subscribers, _ in table("topics"):
        for way, nodes in (("publisher", publishers), ("subscription", subscribers)):
            if nodes:
                shown[(way, unquoted(kind)[0], unquoted(name)[0])] = set(unquoted(nodes))
    assert len(shown) > 12
    assert shown == {key: nodes for key, nodes in endpoints.items() if key[0] != "service"}


def test_nodes_without_table_have_no_topics():
    source = (ROOT / "tddfa_ros/nodes/watch.py").read_text(encoding="utf-8")
    assert "create_subscription" in source
    assert not re.search(r"create_(publisher|service|client)", source)


def test_every_service_is_listed(endpoints):
    shown = {
        (unquoted(row[2])[0], unquoted(row[0])[0], unquoted(row[1])[0]) for row in table("services")
    }
    wanted = {
        (node, name.replace("~", node), kind)
        for (way, kind, name), nodes in endpoints.items()
        if way == "service"
        for node in nodes
    }
    assert shown == wanted and wanted
