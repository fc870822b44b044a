"""Write audio files with one tone, and locate the tone in a file (PyAV)."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np


def write_beep(path: Path, codec: str, rate: int, beep: tuple[float, float]) -> Path:
    """Write 2 s of silence with a tone between two times, s."""
    import av

    seconds = np.arange(2 * rate) / rate
    on = (seconds >= beep[0]) & (seconds < beep[1])
    wave = (on * np.sin(seconds * 2 * np.pi * 440) * 20000).astype(np.int16)[None]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        for i in range(0, wave.shape[1], 1000):
            frame = av.AudioFrame.from_ndarray(wave[:, i : i + 1000], "s16", "mono")
            frame.rate, frame.pts, frame.time_base = rate, i, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def heard(path: Path) -> tuple[str, float, float, float]:
    """Return codec, start and end of the loud part, and duration of the audio of a file, s."""
    import av

    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        codec, rate = stream.codec_context.name, stream.rate
        frames = list(container.decode(stream))
    wave = np.concatenate([frame.to_ndarray().mean(axis=0) for frame in frames])
    loud = np.flatnonzero(np.abs(wave) > 0.2 * np.abs(wave).max()) / rate + float(frames[0].time)
    return codec, float(loud[0]), float(loud[-1]), len(wave) / rate
