"""``tddfa video``: track faces in a video or camera stream; write an annotated video and parameters, or show a window."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tddfa_ros.cli import _files as files
from tddfa_ros.cli._common import counted, quiet_encoders, to_stderr
from tddfa_ros.cli._files import INPUT_NAME, OutputFile, overwrite_option
from tddfa_ros.cli._pipeline import pipeline_config, pipeline_options
from tddfa_ros.config import SMOOTHING_METHODS


@files.command("video", short_help="Track faces in a video or from a camera, and draw them.")
@click.argument("source", type=INPUT_NAME, metavar="IN")
@click.option(
    "-o", "--output", type=OutputFile(checked_by_job=True), help="The video to write, an .mp4."
)
@click.option(
    "--jsonl",
    "lines",
    type=OutputFile(checked_by_job=True),
    help="Write one line of JSON per frame, with its faces.",
)
@click.option(
    "--overlay",
    default="mesh,landmarks,pose",
    show_default=True,
    metavar="NAME,...",
    help="What is drawn, the first one lowest: mesh, landmarks, pose, depth, pncc, parsing, attributes.",
)
@click.option(
    "--smooth",
    type=click.Choice(SMOOTHING_METHODS),
    help="Smoothing filter; default: --config, else imm.",
)
@click.option(
    "--window",
    type=click.IntRange(1, 100),
    help="Largest number of frames averaged by --smooth window; default: --config, else 5.",
)
@click.option("--show", is_flag=True, help="Show the annotated frames in a window.")
@click.option("--no-audio", is_flag=True, help="Write no audio.")
@pipeline_options
@click.option(
    "--camera-size",
    "size",
    type=(int, int),
    default=(640, 480),
    show_default=True,
    metavar="WIDTH HEIGHT",
    help="Image size requested from a camera, px.",
)
@overwrite_option
@click.option("--restart", is_flag=True, help="Discard unfinished output of an earlier run.")
def command(
    source: str,
    output: Path | None,
    lines: Path | None,
    overlay: str,
    smooth: str | None,
    window: int | None,
    show: bool,
    no_audio: bool,
    size: tuple[int, int],
    overwrite: bool,
    restart: bool,
    **chosen: Any,
) -> int:
    """Track the faces of a video or camera, smooth and draw them.

    IN is a video or image, the number of a camera (0), a stream (rtsp://...), or demo, 15 s of a moving portrait. Without -o and --jsonl a window shows the result. Ctrl-C
    finishes the file; rerun the same command to resume an interrupted run.
    """
    quiet_encoders()
    from dataclasses import replace

    from tddfa_ros.cli import EXIT_FAILED_ITEMS, EXIT_INTERRUPTED
    from tddfa_ros.pipeline import FacePipeline
    from tddfa_ros.video import LiveWindow, VideoOptions, annotate_video, why_no_window

    reason = why_no_window()
    wanted = show or (output is None and lines is None)
    if wanted and reason is not None:
        if output is None and lines is None:
            raise click.ClickException(f"{reason}; give -o to write a video")
        to_stderr(f"no window: {reason}")
    live = LiveWindow("tddfa") if wanted and reason is None else None
    config = pipeline_config(**chosen)
    options = VideoOptions(
        layers=tuple(name.strip() for name in overlay.split(",") if name.strip()),
        smoothing=replace(
            config.smoothing,
            method=smooth or config.smoothing.method,
            window=window or config.smoothing.window,
        ),
        json=lines,
        audio=not no_audio,
        width=size[0],
        height=size[1],
        overwrite=overwrite,
        restart=restart,
    )
    summary = annotate_video(
        source,
        output,
        FacePipeline(config),
        options,
        show=live.show if live is not None else None,
        on_message=to_stderr,
    )
    files = ", ".join(map(str, summary.files)) or "no file"
    click.echo(
        f"{counted(summary.faces, 'face')} in {counted(summary.frames, 'frame')}, "
        f"{summary.seconds:.2f} s; written: {files}"
    )
    if summary.truncated:
        return EXIT_FAILED_ITEMS
    if summary.finished or live is not None:
        return 0
    click.echo("stopped before the end; rerun the same command to resume", err=True)
    return EXIT_INTERRUPTED
