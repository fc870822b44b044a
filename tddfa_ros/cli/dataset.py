"""``tddfa dataset``: prepare face collections for training."""

from __future__ import annotations

from pathlib import Path

import click

from tddfa_ros.cli import _files as files
from tddfa_ros.cli._common import load_morphable, morphable_option, need_extra
from tddfa_ros.cli._dataset import (
    COUNT,
    POSITIVE,
    item_options,
    list_option,
    max_error_option,
    out_option,
    output_option,
)
from tddfa_ros.cli._files import EXISTING_FILE, EXISTING_FOLDER, OUTPUT_FILE

_FORMATS = ("folder", "300w-lp", "aflw2000")
_POINTS = ("auto", "68", "478", "both")
_SIZES = ("120", "160", "192", "image")


def _report(line: str) -> None:
    click.echo(line, err=True)


@files.group("dataset", short_help="Prepare face collections for training.")
def command() -> None:
    """Datasets for training: fit the morphable model to landmarks, render seg maps and UV position maps, check, and cache crops.

    A dataset is a folder with images/NAME.jpg, params/NAME.npy, optionally rois/NAME.npy, seg_maps/NAME.png and uv_maps/NAME.png or .npz, and
    list files with one NAME per line.
    """


@command.command("cache")
@click.option(
    "--faces", type=EXISTING_FOLDER, help="Folder of a face collection: <source>.npz and img/."
)
@list_option("List file of a dataset, instead of --faces; may be repeated.")
@out_option("Folder of the cache.", "fit_*.npz", "items.json")
@click.option(
    "--sources",
    metavar="A,B,...",
    help="Sources of the collection, separated by commas; default: all.",
)
@max_error_option("faces whose fit misses the labels", default=4.0)
@click.option(
    "--profiles",
    type=COUNT,
    default=8000,
    show_default=True,
    help="Of a collection: number of faces that are rotated to larger yaws, up to 90 degrees.",
)
@click.option(
    "--negatives",
    type=COUNT,
    default=12000,
    show_default=True,
    help="Of a collection, with --backgrounds: number of crops without a face.",
)
@click.option(
    "--backgrounds", type=EXISTING_FOLDER, help="Folder of images without faces, for the negatives."
)
@item_options
def cache(
    faces: Path | None,
    lists: tuple[Path, ...],
    out: Path,
    sources: str | None,
    max_error: float,
    profiles: int,
    negatives: int,
    backgrounds: Path | None,
    strict: bool,
    model: str,
) -> None:
    """Write all crops to one memory-mapped file; of a collection, fit the morphable model to its labels first.

    The fit of each source is stored in the folder, so that rerunning the command resumes it.
    """
    if (faces is None) == (not lists):
        raise click.UsageError("give either --faces or --list")
    if faces is None:
        from tddfa_ros.training.data.list_cache import cache_lists

        made = cache_lists(lists, load_morphable(model), out, strict, _report)
        click.echo(f"{out}: {len(made)} faces")
        return
    from tddfa_ros.fitting.collection import SOURCES
    from tddfa_ros.training.collection import build_cache

    chosen = tuple(filter(None, sources.replace(" ", "").split(","))) if sources else SOURCES
    made = build_cache(
        faces,
        chosen,
        load_morphable(model),
        out,
        max_error=max_error,
        profiles=profiles,
        negatives=negatives,
        backgrounds=backgrounds,
    )
    for name in dict.fromkeys(made.source.tolist()):
        rows = made.source == name
        error = f", mean fit error {made.error[rows].mean():.2f} %" if made.face[rows].all() else ""
        click.echo(f"{name}: {rows.sum()} crops{error}")


@command.command("pack")
@click.option("--cache", "source", type=EXISTING_FOLDER, required=True, help="A training cache.")
@click.option("-o", "--output", type=OUTPUT_FILE, required=True, help="The .npz file to write.")
@click.option(
    "--megabytes",
    type=POSITIVE,
    default=60.0,
    show_default=True,
    help="Largest size of the file, 10^6 bytes; faces are chosen by their sampling weight until it is full.",
)
@click.option(
    "--side",
    type=click.IntRange(32, 192),
    default=128,
    show_default=True,
    help="Side of the packed crops, px; a cache has 192.",
)
@click.option(
    "--quality",
    type=click.IntRange(1, 100),
    default=75,
    show_default=True,
    help="Quality of the WebP encoder.",
)
@morphable_option
def pack(
    source: Path,
    output: Path,
    megabytes: float,
    side: int,
    quality: int,
    model: str,
) -> None:
    """Pack a training cache into one small file, to train on another machine (scripts/train_on_gpu.sh)."""
    from tddfa_ros.training.cache import open_cache
    from tddfa_ros.training.packing import pack_cache

    morphable = load_morphable(model)
    cached = open_cache(source, morphable)
    count = pack_cache(
        cached, morphable, output, max_bytes=int(megabytes * 1e6), side=side, quality=quality
    )
    click.echo(f"{output}: {count} of {len(cached)} crops, {output.stat().st_size} bytes")


@command.command("unpack")
@click.option("--packed", type=EXISTING_FILE, required=True, help="File of 'tddfa dataset pack'.")
@out_option("Folder of the cache.")
@morphable_option
def unpack(packed: Path, out: Path, model: str) -> None:
    """Write the training cache of a packed file."""
    from tddfa_ros.training.packing import unpack_cache

    made = unpack_cache(packed, load_morphable(model), out)
    click.echo(f"{out}: {len(made)} crops, {int(made.face.sum())} of them faces")


@command.command("check")
@list_option("List file of a dataset, such as data/train.list; may be repeated.", required=True)
@item_options
def check(lists: tuple[Path, ...], strict: bool, model: str) -> int:
    """Report every item that is not usable for training: missing, truncated, not finite, or of the wrong size; exit status 1 if there is one."""
    from tddfa_ros.cli import EXIT_FAILED_ITEMS
    from tddfa_ros.training.data.items import names_of, read_items

    items = read_items(lists, load_morphable(model), strict, _report)
    parts = ["images", "params"]
    if items.has_parsing:
        parts.append("seg maps")
    if items.uv_size:
        parts.append(f"UV position maps of {items.uv_size} px")
    click.echo(f"{names_of(lists)}: {len(items)} items with {', '.join(parts)}")
    return EXIT_FAILED_ITEMS if items.bad else 0


@command.command("fit")
@click.option(
    "--landmarks",
    type=EXISTING_FOLDER,
    multiple=True,
    help="Folder of NAME.npy: (68, 2 or 3) iBUG or (478, 2 or 3) MediaPipe, px of the image; repeat for both.",
)
@click.option("--images", type=EXISTING_FOLDER, required=True, help="Folder of images NAME.jpg.")
@output_option(
    "Folder of the dataset: gets params/, rois/ and a list of the fitted items.",
    *("*fit.csv", "*fitted.list", "params/**/*.npy", "rois/**/*.npy"),
)
@click.option("--list", "list_file", type=EXISTING_FILE, help="Use only the items of this list.")
@click.option(
    "--format",
    "kind",
    type=click.Choice(_FORMATS),
    default="folder",
    show_default=True,
    help="folder: --landmarks; 300w-lp, aflw2000: the dataset as distributed, with .mat files beside the images.",
)
@click.option(
    "--points",
    type=click.Choice(_POINTS),
    default="auto",
    show_default=True,
    help="Landmarks to use; auto: those that an item has.",
)
@max_error_option("items whose fit misses the landmarks")
@item_options
def fit(
    landmarks: tuple[Path, ...],
    images: Path,
    output: Path,
    list_file: Path | None,
    kind: str,
    points: str,
    max_error: float | None,
    strict: bool,
    model: str,
) -> None:
    """Fit params and ROIs to landmarks.

    2D landmarks are annotations of the image, with the jaw on the visible outline. 3D landmarks lie on a mesh, z in px, nearer = larger.
    """
    from tddfa_ros.training.data.fit_folder import fit_source, landmark_source, mat_source

    if (kind == "folder") != bool(landmarks):
        raise click.UsageError("--format folder needs --landmarks, the other formats exclude it")
    if kind == "folder":
        source = landmark_source(landmarks, list_file, points)
    else:
        source = mat_source(kind, images, list_file)
    done = fit_source(source, images, output, load_morphable(model), max_error, strict, _report)
    click.echo(
        f"{done.list_file}: {len(done.faces)} items, mean error {done.mean_error:.2f} % of the face size ({done.table.name} has each)"
    )
    worst = ", ".join(f"{face.name} {face.error:.2f} %" for face in done.worst())
    click.echo(f"worst: {worst}")


@command.command("render")
@list_option("List file of a dataset, such as data/train.list; may be repeated.", required=True)
@output_option(
    "Folder that gets seg_maps/ and uv_maps/.",
    *("seg_maps/**/*.png", "uv_maps/**/*.png", "uv_maps/**/*.npz"),
)
@click.option(
    "--size",
    type=click.Choice(_SIZES),
    default="192",
    show_default=True,
    help="Seg maps: side of a crop with the 120 px of the ROI in its center; image: size of the image.",
)
@click.option(
    "--uv-size",
    type=COUNT,
    default=32,
    show_default=True,
    help="Side of UV position maps, px; 0: none.",
)
@click.option(
    "--uv-format",
    type=click.Choice(("npz", "png")),
    default="png",
    show_default=True,
    help="npz: float32; png: 16 bits, resolution 1/128 px.",
)
@item_options
def render(
    lists: tuple[Path, ...],
    output: Path,
    size: str,
    uv_size: int,
    uv_format: str,
    strict: bool,
    model: str,
) -> None:
    """Render seg maps and UV position maps from params.

    Seg maps: 0 background, 1 skin, 2 brows, 3 eyes, 4 nose, 5 lips, 6 mouth (inside), 7 ears, 8 neck; training ignores 255.
    """
    from tddfa_ros.training.data.render import RenderOptions, render_lists

    options = RenderOptions(size, uv_size, uv_format)
    count = render_lists(lists, load_morphable(model), output, options, strict, _report)
    click.echo(f"{output}: maps of {count} items")


@command.command("refine")
@click.option("--cache", "source", type=EXISTING_FOLDER, required=True, help="A training cache.")
@click.option(
    "--network",
    type=EXISTING_FILE,
    required=True,
    help="Checkpoint of a network trained on this or similar data.",
)
@out_option("Folder of the cache with refined labels.")
@click.option(
    "--share",
    type=click.FloatRange(0, 1),
    default=0.5,
    show_default=True,
    help="Weight of the network in the new labels.",
)
@click.option(
    "--max-error",
    "limit",
    type=POSITIVE,
    default=6.0,
    show_default=True,
    help="Drop faces on which label and network disagree by more, % of the face size.",
)
@click.option("--keep-expressions", is_flag=True, help="Refine pose and identity only.")
@morphable_option
def refine(
    source: Path,
    network: Path,
    out: Path,
    share: float,
    limit: float,
    keep_expressions: bool,
    model: str,
) -> None:
    """Blend the labels with the predictions of a trained network, and drop faces on which they disagree.

    Held-out faces keep their labels. Training on the new cache and refining may be repeated.
    """
    need_extra("training", "refining labels", "torch")
    from tddfa_ros.training.cache import open_cache
    from tddfa_ros.training.checkpoint import load_network
    from tddfa_ros.training.refine import refine as refine_labels
    from tddfa_ros.training.refine import write_refined

    morphable = load_morphable(model)
    cached = open_cache(source, morphable)
    trained, config = load_network(network, morphable)
    refined = refine_labels(
        cached,
        morphable,
        trained,
        size=config.input_size,
        share=share,
        limit=limit,
        keep_expressions=keep_expressions,
    )
    write_refined(source, out, cached, refined)
    for name in dict.fromkeys(cached.source[cached.face].tolist()):
        rows = cached.face & (cached.source == name)
        disagreement = refined.disagreement[rows]
        click.echo(
            f"{name}: {rows.sum()} faces, disagreement {disagreement.mean():.2f} %, {refined.dropped[rows].sum()} dropped"
        )
