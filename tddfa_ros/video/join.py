"""Join MP4 files without re-encoding: one timestamp per frame, and the audio of another file (PyAV)."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from tddfa_ros.errors import TddfaError
from tddfa_ros.files import atomic_path

TIMESCALE = 90_000
"""Ticks per second of written videos: MPEG's clock, a multiple of every common frame rate."""

_COPIED_AUDIO = ("aac", "ac3", "alac", "eac3", "flac", "mp3", "mp3float", "opus", "libopus")
"""Codecs that players find in MP4; decoders have these names."""

_PRIMING = 0.1  # s; encoders of audio begin this early, so that the first sample decodes exactly


def join_videos(
    parts: Sequence[Path], times: Sequence[float], output: Path, audio: Path | None = None
) -> None:
    """Write the frames of several files, one after the other, as one MP4 file.

    Frames are copied, not re-encoded. So is the audio, except where MP4 cannot hold its codec: it becomes AAC.

    Args:
        parts: videos of the same codec, size and settings, without B-frames, as :class:`VideoEncoder` writes them.
        times: of every frame from the first one on, s, rising, and the end of the last one: one more than there are frames.
        output: written atomically.
        audio: a file whose first audio stream is kept, cut to the length of the video; None or no such stream = no audio.

    Raises:
        TddfaError: the parts do not fit together, or a file cannot be read or written.
    """
    import av

    ticks = np.rint(np.asarray(times, dtype=np.float64) * TIMESCALE).astype(np.int64)
    try:
        with atomic_path(output) as temporary, ExitStack() as opened:
            options = {"movflags": "+faststart", "video_track_timescale": str(TIMESCALE)}
            out: Any = opened.enter_context(
                av.open(str(temporary), "w", format="mp4", options=options)
            )
            inputs = [opened.enter_context(av.open(str(part))) for part in parts]
            streams = [
                _video_stream(container, part)
                for container, part in zip(inputs, parts, strict=True)
            ]
            if len({_settings(stream) for stream in streams}) != 1:
                raise TddfaError(
                    "the parts of the video have different codec settings and cannot be joined"
                )
            target = out.add_stream_from_template(streams[0])
            packets = [_frames(streams, target, ticks)]
            if audio is not None:
                source: Any = opened.enter_context(av.open(str(audio)))
                if source.streams.audio:
                    packets.append(_audio(source, out, float(times[-1] - times[0])))
            for _, _, packet in heapq.merge(*packets, key=lambda item: item[:2]):
                out.mux(packet)
    except ValueError as error:  # FFmpegError is this or an OSError, which atomic_path converts
        raise TddfaError(f"cannot write {output}: {error}") from error


def _video_stream(container: Any, path: Path) -> Any:
    if not container.streams.video:
        raise TddfaError(f"{path} has no video stream")
    return container.streams.video[0]


def _settings(stream: Any) -> tuple[object, ...]:
    context = stream.codec_context
    return context.name, context.width, context.height, bytes(context.extradata or b"")


def _frames(streams: Sequence[Any], target: Any, ticks: Any) -> Iterator[tuple[float, int, Any]]:
    """Yield time in s, 0 and packet of every frame, with the timestamps ``ticks``."""
    index = 0
    for stream in streams:
        for packet in stream.container.demux(stream):
            if packet.dts is None:  # end of the file
                continue
            if index + 1 >= len(ticks) or ticks[index + 1] <= ticks[index]:
                raise _wrong_times(index + 1, len(ticks))
            packet.stream, packet.time_base = target, Fraction(1, TIMESCALE)
            packet.pts = packet.dts = int(ticks[index] - ticks[0])
            packet.duration = int(ticks[index + 1] - ticks[index])
            yield packet.pts / TIMESCALE, 0, packet
            index += 1
    if index + 1 != len(ticks):
        raise _wrong_times(index, len(ticks))


def _wrong_times(frames: int, times: int) -> TddfaError:
    return TddfaError(
        f"{times} times do not fit {frames} frames: rising times and the end are needed"
    )


def _audio(source: Any, out: Any, length: float) -> Iterator[tuple[float, int, Any]]:
    """Yield time in s, 1 and packet of the first audio stream, from 0 to ``length`` s on the clock of the video."""
    stream = source.streams.audio[0]
    begin = _begin(source)
    if stream.codec_context.name in _COPIED_AUDIO:
        return _copied_audio(source, stream, out.add_stream_from_template(stream), begin, length)
    layout = "mono" if stream.layout.nb_channels == 1 else "stereo"  # WAV names no layout
    target = out.add_stream("aac", rate=stream.rate, layout=layout)
    return _encoded_audio(source, stream, target, begin, length)


def _begin(source: Any) -> float:
    """Time of the first frame of the video, s; of the file where it has none."""
    if source.streams.video:
        stream = source.streams.video[0]
        if stream.start_time is not None:
            return float(stream.start_time * stream.time_base)
    return 0.0


def _copied_audio(
    source: Any, stream: Any, target: Any, begin: float, length: float
) -> Iterator[tuple[float, int, Any]]:
    for packet in source.demux(stream):
        if packet.pts is None or packet.dts is None:
            continue
        time = float(packet.pts * packet.time_base) - begin
        if time >= length:
            return
        if time < -_PRIMING:
            continue
        shift = round(begin / packet.time_base)
        packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
        packet.stream = target
        yield time, 1, packet


def _encoded_audio(
    source: Any, stream: Any, target: Any, begin: float, length: float
) -> Iterator[tuple[float, int, Any]]:
    for frame in source.decode(stream):
        if frame.pts is None or not 0 <= (time := frame.time - begin) < length:
            continue
        frame.pts -= round(begin / frame.time_base)
        for packet in target.encode(frame):
            yield time, 1, packet
    for packet in target.encode(None):
        yield length, 1, packet
