"""Model manifest ``models/manifest.yaml``: role, license, hash and sources of each model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from tddfa_ros.errors import ModelError
from tddfa_ros.files import sha256_of, write_atomically

ROLES = ("attributes", "detector", "morphable", "regressor")


@dataclass(frozen=True)
class FileSource:
    """The file is part of the repository and lies beside the manifest."""


@dataclass(frozen=True)
class PypiSource:
    """The file lies inside a wheel on PyPI.

    Attributes:
        project, version: the wheel.
        member: path of the file in the wheel.
        sha256: of that file as it comes.
        edit: name of the change that turns it into the model's file (`tddfa_ros.model_store.onnx_edits`); empty for none.
    """

    project: str
    version: str
    member: str
    sha256: str
    edit: str = ""


@dataclass(frozen=True)
class ImportedSource:
    """The file was made on this machine from one of the user's own ("tddfa models import"), and lies beside the user's manifest.

    Attributes:
        file: name of the user's file.
        sha256: of that file.
    """

    file: str
    sha256: str


Source = FileSource | PypiSource | ImportedSource


@dataclass(frozen=True)
class ModelEntry:
    """One model of the manifest; ``size`` (bytes) and ``sha256`` describe the file that programs load.

    ``morphable`` is, of a regressor, the name of the morphable model it goes with; empty for the default one. ``int8_cost`` is the increase
    of the NME68 in percentage points when this file runs in int8: of a regressor in ``tddfa eval --suite aflw2000``, mean of three ranges of
    yaw; of a detector in ``--suite whole``. None if it was not measured.
    """

    name: str
    role: str
    file: str
    size: int
    sha256: str
    license: str
    input: str
    sources: tuple[Source, ...]
    morphable: str = ""
    int8_cost: float | None = None


def read_manifest(path: Path) -> dict[str, ModelEntry]:
    """Read a manifest.

    Raises:
        ModelError: the file is missing or not YAML, or an entry lacks a key or has an unknown one.
    """
    return {name: _entry(path, name, values) for name, values in _load(path).items()}


def add_model(
    path: Path, name: str, file: Path, imported: ImportedSource | None = None, /, **values: str
) -> ModelEntry:
    """Write size and SHA-256 of a file that lies beside the manifest into its entry, which is made if it is new.

    Args:
        path: the manifest; the comment at its top is kept.
        name: the model's name.
        file: the model file.
        imported: what the file was made from; None if it comes as it is.
        values: ``role``, ``license``, ``input``: needed for a new entry, else they replace what is there; ``morphable``.

    Raises:
        ModelError: the file is missing or elsewhere, or a new entry lacks a value.
    """
    if not file.is_file():
        raise ModelError(f"the model file {file} does not exist")
    if file.resolve().parent != path.resolve().parent:
        raise ModelError(f"the model file {file} must lie in {path.parent}, beside the manifest")
    models = _load(path) if path.exists() else {}
    entry: dict[str, Any] = {**models.get(name, {}), **values}
    if entry.get("sha256") != sha256_of(file):
        entry.pop("int8_cost", None)  # it was measured with another file
    entry.update(file=file.name, size=file.stat().st_size, sha256=sha256_of(file))
    if imported is not None:
        entry["sources"] = [{"kind": "imported", **asdict(imported)}]
    entry.setdefault("sources", [{"kind": "file"}])
    order = (
        "role",
        "file",
        "size",
        "sha256",
        "license",
        "input",
        "morphable",
        "int8_cost",
        "sources",
    )
    models[name] = {key: entry[key] for key in order if key in entry}
    checked = _entry(path, name, models[name])
    header = _comment_at_top(path) if path.exists() else ""
    body = yaml.safe_dump({"models": models}, sort_keys=False, allow_unicode=True, width=110)
    write_atomically(path, (header + body).encode())
    return checked


def _load(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"the model list {path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ModelError(
            f"the model list {path} is not valid YAML: {str(error).splitlines()[0]}"
        ) from error
    models = content.get("models") if isinstance(content, Mapping) else None
    if not isinstance(models, dict):
        raise ModelError(f"the model list {path} has no mapping 'models'")
    return models


def _entry(path: Path, name: str, values: Any) -> ModelEntry:
    where = f"the entry {name} of {path}"
    if not isinstance(values, Mapping):
        raise ModelError(f"{where} is not a mapping")
    try:
        plain = dict(values)
        sources = tuple(_source(where, source) for source in plain.pop("sources"))
        entry = ModelEntry(name=name, sources=sources, **plain)
    except (KeyError, TypeError) as error:
        raise ModelError(f"{where} is incomplete or has an unknown key: {error}") from error
    if entry.role not in ROLES:
        raise ModelError(
            f"{where} has the role {entry.role!r}, which is none of {', '.join(ROLES)}"
        )
    return entry


def _source(where: str, values: Mapping[str, Any]) -> Source:
    plain = dict(values)
    kind = plain.pop("kind")
    if kind == "file":
        return FileSource(**plain)
    if kind == "pypi":
        return PypiSource(**plain)
    if kind == "imported":
        return ImportedSource(**plain)
    raise ModelError(f"{where} has a source of the unknown kind {kind!r}")


def _comment_at_top(path: Path) -> str:
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    count = next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))
    return "".join(lines[:count])
