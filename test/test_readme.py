"""The README against the source: every name, default, field and command in it, and the example it shows."""

from __future__ import annotations

import ast
import importlib
import re
import shutil
from collections import defaultdict
from pathlib import Path

import click
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
NODES = (
    "face_node", "smoothing_node", "visualization_node", "avatar_node", "hri_node", "image_source_node",
)  # fmt: skip
DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "docs/*.md", "docs/guide/*.md", "models/*.md")
    for path in ROOT.glob(pattern)
)  # fmt: skip


def block(name: str) -> str:
    found = re.findall(rf"<!-- {name} -->\n(.*?)<!-- /{name} -->", README, re.S)
    assert len(found) == 1, f"<!-- {name} --> must be there once"
    return found[0]


def table(name: str) -> list[list[str]]:
    """Cells of all rows of all tables of a block, without heads."""
    rows = [line for line in block(name).splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows]


def unquoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]*)`", cell)


# --- generated tables ---


@pytest.fixture
def writer(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module("write_readme_tables")


def test_the_tables_are_what_the_source_generates(writer):
    assert writer.render(README) == README, "run: python scripts/write_readme_tables.py"


def test_a_missing_marker_is_named(writer):
    with pytest.raises(ValueError, match="<!-- cli -->"):
        writer.render(README.replace("<!-- cli -->", ""))


@pytest.mark.parametrize("node", NODES)
def test_every_parameter_of_a_node_is_there_with_its_default(node):
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


def test_the_nodes_of_the_readme_are_those_of_the_parameter_file():
    values = yaml.safe_load((ROOT / "config/face.yaml").read_text())
    assert {f"/**/{node}" for node in NODES} == set(values)
    assert set(re.findall(r"<!-- parameters (\w+) -->", README)) == set(NODES)


def test_every_launch_argument_is_there():
    text = (ROOT / "launch/face.launch.py").read_text()
    names = re.findall(r'DeclareLaunchArgument\(\s*"(\w+)"', text)
    assert len(names) > 10
    assert [unquoted(row[0])[0] for row in table("launch-arguments")] == names


def test_every_message_and_every_field_is_there():
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


def test_every_subcommand_is_there():
    from tddfa_ros.cli import tddfa

    def names(group, prefix):
        for name in group.list_commands(click.Context(group)):
            command = group.get_command(click.Context(group), name)
            if isinstance(command, click.Group):
                yield from names(command, f"{prefix} {name}")
            else:
                yield f"{prefix} {name}"

    modules = {p.stem for p in (ROOT / "tddfa_ros/cli").glob("*.py") if not p.stem.startswith("_")}
    shown = [unquoted(row[0])[0] for row in table("cli")]
    assert sorted(shown) == sorted(names(tddfa, "tddfa"))
    assert {name.split()[1].replace("-", "_") for name in shown} == modules


# --- topics and services, as the nodes' source creates them ---


class Endpoints(ast.NodeVisitor):
    """What a module creates: (kind, type, name), kind being publisher, subscription or service."""

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
        if isinstance(
            node, ast.JoinedStr
        ):  # the only thing that a name of ours is made with is an id
            return "".join(p.value if isinstance(p, ast.Constant) else "<id>" for p in node.values)
        assert isinstance(node, ast.Call) and ast.unparse(node.func) == "image_topic", (
            f"the test cannot read the topic {ast.unparse(node)}"
        )
        return f"image_raw/{ast.literal_eval(node.args[1])}"


@pytest.fixture(scope="module")
def endpoints():
    """(kind, type, name) -> the nodes that have it."""
    folder = ROOT / "tddfa_ros" / "nodes"
    modules = {
        path.relative_to(folder).with_suffix("").as_posix(): Endpoints(path)
        for path in folder.rglob("*.py")
    }
    shared = {
        "FacePublisher": "face_publisher",
        "Diagnostics": "ros/diagnostics",
        "FaceTopics": "hri/topics",
    }
    files = {node: "hri/node" if node == "hri_node" else node for node in NODES}
    found = defaultdict(set)
    for node in NODES:
        helpers = [
            modules[home] for name, home in shared.items() if name in modules[files[node]].calls
        ]
        for module in (modules[files[node]], *helpers):
            for endpoint in module.found:
                found[endpoint].add(node)
    # Whatever is created anywhere has to be seen through one of the nodes.
    assert set(found) == set().union(*(module.found for module in modules.values()))
    return found


def test_every_topic_is_there_with_type_publishers_and_subscribers(endpoints):
    shown = {}
    for name, kind, publishers, subscribers, _ in table("topics"):
        for way, nodes in (("publisher", publishers), ("subscription", subscribers)):
            if nodes:
                shown[(way, unquoted(kind)[0], unquoted(name)[0])] = set(unquoted(nodes))
    assert len(shown) > 12
    assert shown == {key: nodes for key, nodes in endpoints.items() if key[0] != "service"}


def test_every_service_is_there(endpoints):
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


# --- everything else that can be checked ---


def test_the_commands_are_in_the_makefile():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    assert {"demo", "test"} <= targets
    for path in DOCUMENTS:
        text = path.read_text(encoding="utf-8")
        shown = re.findall(r"^    make ([a-z]+)", text, re.M) + re.findall(r"`make ([a-z]+)", text)
        assert set(shown) <= targets, path.name
    assert "    make demo\n" in README and "    make test\n" in README


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_to_files_lead_somewhere(path):
    links = re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8"))
    files = [link.split("#")[0] for link in links if not re.match(r"https?:|#", link)]
    assert [file for file in files if not (path.parent / file).exists()] == []


def test_the_picture_is_at_the_top():
    assert README.splitlines()[2].endswith("(docs/demo.jpg)")


def test_our_own_figures_are_there():
    assert re.search(r"^\|.*`tddfa-mb05`.*\d\.\d\d", block("accuracy"), re.M), (
        "accuracy of tddfa-mb05"
    )
    assert re.search(r"^\|.*\|\s*[\d.]+ ?(ms)?\s*\|", block("speed"), re.M), "speed"


def test_the_card_of_every_model_that_is_shipped_states_its_license():
    entries = yaml.safe_load((ROOT / "models/manifest.yaml").read_text())["models"]
    for name, entry in entries.items():
        shipped = any(source["kind"] == "file" for source in entry["sources"])
        card = ROOT / "models" / (f"{Path(entry['file']).stem}.md" if shipped else "README.md")
        assert entry["license"] in card.read_text(encoding="utf-8"), name
        assert re.search(rf"`?{name}`?.*\| {re.escape(entry['license'])} \|", README) or not shipped


def test_the_python_example_runs(tmp_path, monkeypatch, astronaut, capsys):
    cv2 = pytest.importorskip("cv2")
    from tddfa_ros.errors import ModelError
    from tddfa_ros.model_store.store import default_store

    try:
        for name in ("centerface", "tddfa-head", "tddfa-mb05"):
            default_store().path(name)
    except ModelError as error:
        pytest.skip(f"a model cannot be had here: {error}")
    cv2.imwrite(str(tmp_path / "photo.jpg"), astronaut)
    video = cv2.VideoWriter(
        str(tmp_path / "video.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 25, astronaut.shape[1::-1]
    )
    for _ in range(4):
        video.write(astronaut)
    video.release()
    code = re.search(r"```python\n(.*?)```", README, re.S).group(1)
    (tmp_path / "config").mkdir()
    shutil.copy(ROOT / "config/face.yaml", tmp_path / "config")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(code, names)
    shown = capsys.readouterr().out
    assert "(68, 3) (16247, 3)" in shown and "\nf1 [" in shown
    assert (tmp_path / "face.obj").stat().st_size > 1e5
    assert 175 < names["face"].landmarks68[30, 0] < 270  # the tip of the nose lies within the face
