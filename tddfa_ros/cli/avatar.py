"""``tddfa avatar``: drive avatars from a camera or video by JSON lines, OSC, Live Link Face packets and a web page."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click

from tddfa_ros.cli import _files as files
from tddfa_ros.cli._common import counted, quiet_encoders, to_stderr
from tddfa_ros.cli._files import EXISTING_FOLDER, INPUT_FILE, INPUT_NAME, OutputFile
from tddfa_ros.cli._pipeline import pipeline_config, pipeline_options

_STILL_RATE = 5.0  # Hz, at which an image is sent again


@files.command("avatar", short_help="Drive avatars by JSON lines, OSC, Live Link or a web page.")
@click.argument("source", type=INPUT_NAME, metavar="IN")
@click.option("--jsonl", type=OutputFile(allow_dash=True), metavar="FILE", help="Write one line of JSON per face and image; '-': standard output.")  # fmt: skip
@click.option("--osc", metavar="HOST:PORT", help="Send OSC in the VMC protocol; receivers listen on 39540 or 39539.")  # fmt: skip
@click.option("--livelink", metavar="HOST:PORT", help="Send Live Link Face packets; Unreal listens on 11111.")  # fmt: skip
@click.option("--subject", default="", help="Subject name of --livelink; the track ID by default.")  # fmt: skip
@click.option("--web", metavar="PORT", type=click.IntRange(0, 65535), help="Serve a web page with an animated head on this port; 0: any free port.")  # fmt: skip
@click.option("--host", default="127.0.0.1", show_default=True, help="Address on which the page is served; 0.0.0.0: all interfaces.")  # fmt: skip
@click.option("--rig", type=INPUT_FILE, help="GLB file of the avatar on the page, with morph targets named like ARKit's; a mean head by default.")  # fmt: skip
@click.option("--three", type=EXISTING_FOLDER, help="Folder of three.js; node_modules/three by default.")  # fmt: skip
@click.option("--raw", is_flag=True, help="Send the raw coefficients of the network, which seldom reach 1.")  # fmt: skip
@click.option("--no-gaze", is_flag=True, help="Do not look for irises: eyeLook blend shapes come from the network, as with --raw.")  # fmt: skip
@click.option("--loop", is_flag=True, help="Restart a file at its end.")
@pipeline_options
def command(
    source: str,
    jsonl: Path | None,
    osc: str | None,
    livelink: str | None,
    subject: str,
    web: int | None,
    host: str,
    rig: Path | None,
    three: Path | None,
    raw: bool,
    no_gaze: bool,
    loop: bool,
    **chosen: Any,
) -> int:
    """Track the faces of a camera (0), a stream, a video, an image or 'demo', and send blend shapes and head pose to avatars.

    Blend shapes are ARKit's 52, left and right the person's own. A video is played in real time, unless --jsonl is the only output. Stop with Ctrl-C.
    """
    from tqdm import tqdm

    quiet_encoders()
    from tddfa_ros.avatar import JsonLines
    from tddfa_ros.avatar.drive import drive
    from tddfa_ros.avatar.targets import Targets, open_receivers
    from tddfa_ros.cli import EXIT_FAILED_ITEMS
    from tddfa_ros.pipeline import FacePipeline
    from tddfa_ros.sources import SUFFIXES, create_source

    if jsonl is None and osc is None and livelink is None and web is None:
        raise click.ClickException("no receiver is given: add --web, --osc, --livelink or --jsonl")
    if rig is not None and web is None:
        raise click.UsageError("--rig is the avatar on the web page, so it needs --web")
    config = pipeline_config(**chosen)
    live = osc is not None or livelink is not None or web is not None
    still = source.lower().endswith(SUFFIXES) and Path(source).expanduser().is_file()
    if still:  # it is shown until Ctrl-C, and no later image confirms its faces
        config = replace(config, tracking=replace(config.tracking, min_hits=1))
    images = create_source(
        source,
        loop=loop or (still and live),
        rate=_STILL_RATE if still else 0.0,
        max_pixels=config.input.max_image_pixels,
    )
    truncation = getattr(images, "truncation", None)
    if truncation is not None:
        to_stderr(f"{truncation}; the frames before that are used")
    problems: list[str] = [truncation] if truncation else []

    def on_message(sentence: str) -> None:
        problems.append(sentence)
        to_stderr(sentence)

    pipeline = FacePipeline(config)
    targets = Targets(osc or "", livelink or "", subject, web, host, three, rig)
    seen: set[str] = set()
    with ExitStack() as ends:
        receivers = open_receivers(targets, pipeline.model, partial(click.echo, err=True))
        if jsonl is not None:
            receivers.append(JsonLines(jsonl))
        for receiver in receivers:
            ends.callback(receiver.close)
        performance = drive(images, pipeline, receivers, smoothing=config.smoothing, stretch=not raw, gaze=not (raw or no_gaze), real_time=live, on_message=on_message)  # fmt: skip
        with tqdm(performance, unit="image", file=sys.stderr, disable=None) as bar:
            for frames in bar:
                seen.update(frame.id for frame in frames)
                bar.set_postfix_str(", ".join(frame.id for frame in frames))
    click.echo(counted(len(seen), "face"), err=True)
    return EXIT_FAILED_ITEMS if problems else 0
