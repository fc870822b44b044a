"""Statistics of a recording: rates, drops, latency, jitter, CPU usage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tddfa_ros.demo.recording import Recording, Stream
from tddfa_ros.types import DoubleArray

Motion = Mapping[int, DoubleArray]
"""Camera motion over a still image: image stamp, ns -> similarity (2, 3) from image px to still px."""

_OUTER_EYES = (36, 45)


def measure(
    recording: Recording, cpu_share: Mapping[str, float] | None = None, motion: Motion | None = None
) -> dict[str, Any]:
    """Compute all statistics of a recording, ready for JSON.

    Args:
        recording: the recording; statistics without data are None.
        cpu_share: CPU usage by process, percent of one core.
        motion: ground-truth camera motion over a still image; None for other sources.
    """
    meshes = recording.meshes
    seen = set(recording.image_stamps.tolist()) | set(meshes.stamps)
    stamps = np.array(sorted(seen), dtype=np.int64)
    seconds = float(stamps[-1] - stamps[0]) / 1e9 if len(stamps) > 1 else 0.0
    matched = len(set(recording.image_stamps.tolist()) & set(meshes.stamps))
    height, width = recording.image_shape
    return {
        "image": {"width": width, "height": height},
        "model": recording.model_name,
        "seconds": round(seconds, 3),
        "frames_in": len(stamps),
        "meshes_out": len(set(meshes.stamps)),
        "faces": len(meshes.faces),
        "identities": sorted({face.id for face in meshes.faces}),
        "drop_rate": 1 - len(set(meshes.stamps)) / len(stamps) if len(stamps) else None,
        "matched_with_image": matched,
        "frame_rate": _rate(stamps),
        "mesh_rate": _rate(np.array(sorted(set(meshes.stamps)), dtype=np.int64)),
        "latency_ms": _percentiles(meshes.stamps, meshes.arrivals),
        "image_transport_ms": _percentiles(
            recording.image_stamps.tolist(), recording.image_arrivals.tolist()
        ),
        "stages_ms": stage_times(recording),
        "jitter": {
            name: track_jitter(stream, motion)
            for name, stream in (("face_mesh", meshes), ("face_mesh_raw", recording.raw))
            if stream.faces
        },
        "cpu_percent": {k: round(v, 1) for k, v in (cpu_share or {}).items()},
    }


def track_jitter(stream: Stream, motion: Motion | None = None) -> dict[str, float] | None:
    """Compute jitter and drift of the 68 landmarks of the longest track.

    Jitter needs no ground truth: the second difference of a smooth path is nearly 0, that of white noise is sqrt(6) times its
    standard deviation; only evenly spaced frames are used. Drift needs the camera motion: landmarks mapped to the still image
    should be constant, and their standard deviation over time is the sum of noise, lag and pose-dependent error.

    Returns:
        Keys ``frames``, ``jitter_px``, ``jitter_percent`` (of the distance of the outer eye corners) and, with
        ``motion``, ``drift_px`` and ``drift_percent``; None for a track of fewer than 8 frames.
    """
    ids = [face.id for face in stream.faces]
    if not ids:
        return None
    longest = max(set(ids), key=ids.count)
    known = motion if motion else None
    track = sorted(
        (f for f in stream.faces if f.id == longest and (known is None or f.stamp in known)),
        key=lambda face: face.stamp,
    )
    if len(track) < 8:
        return None
    times = np.array([f.stamp for f in track], dtype=np.int64) / 1e9
    points = np.array([f.landmarks[:, :2] for f in track], dtype=np.float64)
    scale = np.ones(len(track))  # still px per image px
    if known is not None:
        moves = np.array([known[f.stamp] for f in track])
        points = np.einsum("fij,flj->fli", moves[:, :, :2], points) + moves[:, None, :, 2]
        scale = np.sqrt(np.abs(np.linalg.det(moves[:, :, :2])))
    eyes = np.linalg.norm(points[:, _OUTER_EYES[0]] - points[:, _OUTER_EYES[1]], axis=1).mean()
    to_image = 1 / float(scale.mean())
    jitter = _jitter(points, times)
    result = {
        "frames": float(len(track)),
        "jitter_px": jitter * to_image,
        "jitter_percent": 100 * jitter / eyes,
    }
    if known is not None:
        drift = float(np.sqrt(points.var(axis=0).sum(axis=-1).mean()))
        result |= {"drift_px": drift * to_image, "drift_percent": 100 * drift / eyes}
    return {key: round(float(value), 4) for key, value in result.items()}


def _jitter(points: DoubleArray, times: DoubleArray) -> float:
    """Compute the RMS of second differences over sqrt(6), 2D, over evenly spaced triples of frames."""
    steps = np.diff(times)
    typical = np.median(steps)
    even = (np.abs(steps[1:] - typical) < 0.5 * typical) & (
        np.abs(steps[:-1] - typical) < 0.5 * typical
    )
    if not even.any():
        return float("nan")
    # Weight the neighbors by their spacing, so that a straight path gives exactly 0.
    before, after = steps[:-1][even, None, None], steps[1:][even, None, None]
    straight = (points[:-2][even] * after + points[2:][even] * before) / (before + after)
    second = 2 * (points[1:-1][even] - straight)
    return float(np.sqrt((second**2).sum(-1).mean() / 6))


def stage_times(recording: Recording) -> dict[str, dict[str, float]]:
    """Average every diagnostics value whose key ends in ``ms``, by node."""
    collected: dict[str, dict[str, list[float]]] = {}
    for entry in recording.diagnostics:
        for key, text in entry["values"].items():
            if not key.endswith(" ms"):
                continue
            try:
                value = float(text)
            except ValueError:
                continue
            if np.isfinite(value):
                collected.setdefault(entry["name"], {}).setdefault(key[:-3], []).append(value)
    return {
        name: {key: round(float(np.mean(values)), 2) for key, values in stages.items()}
        for name, stages in collected.items()
    }


def to_text(numbers: Mapping[str, Any], source: str) -> str:
    """Format the statistics as text."""
    image = numbers["image"]
    lines = [
        f"source                 {source}, {image['width']}x{image['height']} at {_n(numbers['frame_rate'])} Hz",
        f"recorded               {numbers['seconds']:.1f} s",
        f"frames in              {numbers['frames_in']}",
        f"mesh messages out      {numbers['meshes_out']} ({_n(numbers['mesh_rate'])} Hz)",
        f"drop rate              {_n(numbers['drop_rate'], '.2%')}",
        f"faces                  {numbers['faces']}, identities: {', '.join(numbers['identities']) or 'none'}",
        f"morphable model        {numbers['model']}",
        "",
        "latency from image stamp to /face_mesh received by another process, ms",
        "  " + _line(numbers["latency_ms"]),
        "the image alone, from stamp to received, ms",
        "  " + _line(numbers["image_transport_ms"]),
        "",
        "time per stage, ms (from /diagnostics)",
    ]
    for node, stages in numbers["stages_ms"].items():
        lines.append(f"  {node}: " + ", ".join(f"{k} {v:.2f}" for k, v in stages.items()))
    lines += [
        "",
        "68 landmarks (jitter: frame to frame; drift: against the camera motion)",
    ]
    for topic, jitter in numbers["jitter"].items():
        lines.append(f"  {topic}: " + _jitter_line(jitter))
    if numbers["cpu_percent"]:
        lines += ["", "CPU, percent of one core"]
        lines += [f"  {name:<22} {share:.0f}" for name, share in numbers["cpu_percent"].items()]
    return "\n".join(lines) + "\n"


def _jitter_line(jitter: Mapping[str, float] | None) -> str:
    if jitter is None:
        return "too few frames of a track"
    text = f"jitter {jitter['jitter_px']:.3f} px ({jitter['jitter_percent']:.2f} % of the eye distance)"
    if "drift_px" in jitter:
        text += f", drift {jitter['drift_px']:.3f} px ({jitter['drift_percent']:.2f} %)"
    return text


def _line(values: Mapping[str, float] | None) -> str:
    if values is None:
        return "no messages"
    return ", ".join(f"{key} {value:.1f}" for key, value in values.items())


def _n(value: float | None, pattern: str = ".1f") -> str:
    return "?" if value is None else format(value, pattern)


def _rate(stamps: NDArray[np.int64]) -> float | None:
    if len(stamps) < 2:
        return None
    return round((len(stamps) - 1) / (float(stamps[-1] - stamps[0]) / 1e9), 2)


def _percentiles(stamps: list[int], arrivals: list[int]) -> dict[str, float] | None:
    if not stamps:
        return None
    latency = (np.array(arrivals, np.int64) - np.array(stamps, np.int64)) / 1e6
    result = {f"p{p}": round(float(np.percentile(latency, p)), 2) for p in (50, 90, 99)}
    return result | {"max": round(float(latency.max()), 2)}
