"""Import of a user's 3DDFA_V2 files: conversion to models in the user's cache and manifest (``tddfa models import``)."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tddfa_ros.errors import ConfigError, ModelError
from tddfa_ros.files import atomic_path, sha256_of
from tddfa_ros.model_store.manifest import ImportedSource, ModelEntry, add_model
from tddfa_ros.model_store.store import ModelStore
from tddfa_ros.official.basel import LICENSE as BASEL_LICENSE
from tddfa_ros.official.basel import Basel, to_morphable
from tddfa_ros.official.checkpoints import Checkpoint
from tddfa_ros.official.helpers import Helpers
from tddfa_ros.official.recognize import (
    SUFFIXES,
    OnnxDetector,
    OnnxRegressor,
    Piece,
    Triangles,
    UvTable,
    VertexSubset,
    recognize,
)
from tddfa_ros.official.whitening import Whitening

_LICENSES = {
    "centerface": "MIT",
    "faceboxes": "MIT",
    "scrfd": "non-commercial research only (insightface)",
    "tddfa-detect": "your own",
    "yunet": "MIT",
}
_FULL_BFM_VERTICES = 38365
_NEIGHBORS = (".", "../configs", "../train.configs")
"""Folders, relative to a file, in which 3DDFA's repositories keep its auxiliary files."""

Progress = Callable[[Iterable[Path]], Iterable[Path]]


@dataclass
class Imported:
    """Result of an import.

    Attributes:
        entries: manifest entries of the imported models.
        notes: messages to the user, one sentence each.
        failed: files that could not be read or converted.
    """

    entries: list[ModelEntry] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    failed: list[Path] = field(default_factory=list)


def import_models(
    source: str | Path,
    store: ModelStore,
    *,
    name: str = "",
    license: str = "",
    progress: Progress = lambda files: files,
) -> Imported:
    """Identify files by content, convert them, and register the models in ``store.imported``.

    No pickled code is executed. Auxiliary files (whitening, triangles, texture coordinates) are cached, so that files can
    be imported one at a time.

    Args:
        source: a file, or a folder that is searched: a checkout of 3DDFA_V2.
        store: whose user's manifest the models go to.
        name: of the model, for a single file; empty for the default name.
        license: of the models; empty for the license stated by their authors.
        progress: wraps the iterable of files, for a progress bar.

    Raises:
        ConfigError: the name is invalid.
        ModelError: the file cannot be imported, or the folder contains no file that can.
    """
    source = Path(source).expanduser()
    if not source.exists():
        raise ModelError(f"{source} does not exist")
    if name:
        _check_name(name, source, store)
    result = Imported()
    pieces = _read(source, result, progress)
    helpers = Helpers.load(store.imported)
    if not source.is_dir():
        helpers.add_missing(_neighbors(source))
    for piece in pieces.values():
        helpers.add(piece)
    helpers.save(store.imported)
    made: dict[str, Path] = {}
    for path, piece in pieces.items():
        usual = _model_name(piece)
        if usual is None:
            continue
        if usual in made:
            result.notes.append(
                f"{path} was left, for {made[usual].name} gave the model {usual}; import it alone if you want this one."
            )
            continue
        maker = _Maker(path, store, helpers, name or usual, license)
        try:
            result.entries.append(maker.make(piece))
        except ModelError as error:
            if not source.is_dir():
                raise
            result.notes.append(f"{error}.")
            result.failed.append(path)
            continue
        made[usual] = path
    _conclude(source, pieces, store, result)
    return result


class _Maker:
    """Converts one piece to a model."""

    def __init__(
        self, path: Path, store: ModelStore, helpers: Helpers, name: str, license: str
    ) -> None:
        self._path, self._store, self._helpers = path, store, helpers
        self._name, self._license = name, license

    def make(self, piece: Piece) -> ModelEntry:
        """Convert and register a piece that has a `_model_name`."""
        from tddfa_ros.official import export

        if isinstance(piece, Basel):
            return self._basel(piece)
        if isinstance(piece, OnnxDetector):
            return self._register(
                ".onnx",
                lambda path: shutil.copyfile(self._path, path),
                role="detector",
                license=_LICENSES[piece.family],
                input="images, BGR",
            )
        if isinstance(piece, Checkpoint) and piece.name == "faceboxes":
            return self._register(
                ".onnx",
                lambda path: export.export_detector(piece.network, path),
                role="detector",
                license=_LICENSES["faceboxes"],
                input="BGR minus (104, 117, 123), (1, 3, height, width)",
            )
        if isinstance(piece, Checkpoint | OnnxRegressor):
            whitening = self._helpers.whitening(
                1 if piece.name.startswith("v1-") else 2, self._path.name
            )

            def write(path: Path) -> None:
                if isinstance(piece, Checkpoint):
                    export.export_regressor(piece.network, piece.landmarks, whitening, path)
                else:
                    export.convert_regressor(piece.model, whitening, path)

            return self._register(
                ".onnx",
                write,
                role="regressor",
                license="MIT",
                input="BGR crops (n, 3, 120, 120), (x - 127.5) / 128",
                morphable="official-bfm",
            )
        raise TypeError(f"no model is made of a {type(piece).__name__}")

    def _basel(self, basel: Basel) -> ModelEntry:
        model = to_morphable(
            basel,
            self._helpers.triangles_of(basel, self._path.name),
            self._helpers.whitening(2, self._path.name),
            self._helpers.uv_of(len(basel.mean)),
            name=self._name,
            provenance=f"Basel Face Model (Paysan et al. 2009) as 3DDFA_V2 has it, from {self._path.name}, SHA-256 "
            f"{sha256_of(self._path)[:12]}",
        )
        return self._register(
            ".npz",
            lambda path: model.save(path, half=False),
            role="morphable",
            license=BASEL_LICENSE,
            input="(P,) parameters: 12 pose, 40 identity, 10 expression",
        )

    def _register(self, suffix: str, write: Callable[[Path], object], **values: str) -> ModelEntry:
        """Write the file beside the user's manifest, atomically, and add its entry."""
        name, folder = self._name, self._store.imported
        path = folder / f"{name}{suffix}"
        if self._license:
            values["license"] = self._license
        with atomic_path(path) as temporary:
            write(temporary)
        origin = ImportedSource(self._path.name, sha256_of(self._path))
        return add_model(folder / "manifest.yaml", name, path, origin, **values)


def _model_name(piece: Piece) -> str | None:
    """Return the default model name of a piece; None for an auxiliary file."""
    if isinstance(piece, OnnxDetector):
        return piece.family
    if isinstance(piece, Basel):
        full = len(piece.mean) == _FULL_BFM_VERTICES
        return "official-bfm" if full else "official-bfm-slim"
    if isinstance(piece, Checkpoint | OnnxRegressor):
        return piece.name if piece.name == "faceboxes" else f"official-{piece.name}"
    return None


def _check_name(name: str, source: Path, store: ModelStore) -> None:
    if source.is_dir():
        raise ConfigError("a name can be given to a single file only, not to a folder")
    if not name.replace("-", "").replace("_", "").replace(".", "").isalnum() or name[0] in ".-":
        raise ConfigError(f"{name!r} is no name for a model: use letters, digits, '-' and '_'")
    if name in store.entries and store.location(name).parent != store.imported:
        raise ConfigError(f"{name} is the name of a model of this package; choose another one")


def _read(source: Path, result: Imported, progress: Progress) -> dict[Path, Piece]:
    """Read all pieces by file; in a folder, note unreadable files and skip unrelated ones."""
    if not source.is_dir():
        piece = recognize(source)
        if piece is None:
            raise ModelError(
                f"{source} is not a file that can be imported: neither one of 3DDFA or 3DDFA_V2 nor a FaceBoxes, SCRFD or YuNet detector"
            )
        return {source: piece}
    files = sorted(
        path
        for path in source.rglob("*")
        if path.suffix in SUFFIXES and path.is_file() and ".git" not in path.parts
    )
    pieces: dict[Path, Piece] = {}
    for path in progress(files):
        try:
            piece = recognize(path)
        except ModelError as error:
            result.notes.append(f"{error}.")
            result.failed.append(path)
            continue
        if piece is not None:
            pieces[path] = piece
    if not pieces:
        reasons = "".join(f" {note}" for note in result.notes[:1])
        raise ModelError(
            f"{source} holds no file of 3DDFA_V2 or of a detector that can be imported.{reasons}".rstrip(
                "."
            )
        )
    # torch's files before ONNX's: of two forms of one network the first has both heads.
    converted = OnnxRegressor | OnnxDetector
    return dict(sorted(pieces.items(), key=lambda item: isinstance(item[1], converted)))


def _neighbors(path: Path) -> list[Piece]:
    """Read the auxiliary files next to a file of 3DDFA's repositories; skip all others."""
    found: list[Piece] = []
    for folder in dict.fromkeys((path.parent / part).resolve() for part in _NEIGHBORS):
        for file in sorted(folder.glob("*")) if folder.is_dir() else ():
            if file.suffix not in (".pkl", ".npy", ".mat") or file.resolve() == path.resolve():
                continue
            try:
                piece = recognize(file)
            except ModelError:
                continue
            if isinstance(piece, Whitening | Triangles | UvTable | VertexSubset):
                found.append(piece)
    return found


def _conclude(source: Path, pieces: dict[Path, Piece], store: ModelStore, result: Imported) -> None:
    """Add notes on what is still missing and what works without it."""
    known = {**store.entries, **{entry.name: entry for entry in result.entries}}
    regressors = [entry.name for entry in result.entries if entry.morphable]
    if regressors and not any(name.startswith("official-bfm") for name in known):
        works = ""
        if "faceboxes" in known:
            works = "what works without it: the detector faceboxes, with the default network; "
        result.notes.append(
            f"{', '.join(regressors)} cannot be used yet: the Basel Face Model is missing, which gives the meaning of the "
            f"coefficients; {works}get bfm_noneck_v3.pkl (its license: {BASEL_LICENSE}) and run "
            "'tddfa models import --from bfm_noneck_v3.pkl'."
        )
    if not result.entries and not source.is_dir():
        result.notes.append(
            f"{source.name} is no model by itself; it is kept for the next imports, which need it."
        )
    if not result.entries and source.is_dir() and not result.notes:
        result.notes.append(f"{len(pieces)} files are kept for the next imports; none is a model.")
