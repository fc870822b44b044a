"""Compare rasterizers on one thread: a dense head on a face of 400 px, drawn by this package and by other libraries.

    python benchmarks/raster.py                  # prints Markdown, writes out/raster.json

All rasterizers draw the same triangles and interpolate three values per vertex; those without interpolation (ray casting,
painting) are named accordingly. Rows are interleaved, so that load on the machine affects all of them; times are medians,
ratios refer to the NumPy rasterizer in the same run. The column ``difference`` compares with NumPy's result: number of pixels
that only one of the two covers, and the 99th percentile of the difference in depth, px.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from tddfa_ros.cli._common import load_morphable
from tddfa_ros.rendering.raster import rasterize
from tddfa_ros.rendering.raster_compiled import has_compiler
from tddfa_ros.types import FloatArray, IntArray

BASELINE = "NumPy"
Drawn = tuple[FloatArray, FloatArray]  # values (h, w, 3), depth (h, w), -inf for background


@dataclass(frozen=True, eq=False)
class Scene:
    """A head in an image: vertices (N, 3) px, triangles (T, 3), values (N, 3) 0..1 at the vertices, (height, width)."""

    vertices: FloatArray
    triangles: IntArray
    values: FloatArray
    shape: tuple[int, int]


@dataclass(frozen=True)
class Result:
    """One row of the table; ``processor_ms`` is the CPU time of this thread, which is independent of the load."""

    name: str
    median_ms: float | None = None
    processor_ms: float | None = None
    ratio: float | None = None
    runs: int = 0
    off: str = ""
    note: str = ""


def scene(face_px: float, whole_head: bool) -> Scene:
    """Return the mean head in frontal view; ``face_px`` is the height of the whole mesh, or of the 68 landmarks."""
    model = load_morphable("tddfa-head")
    points = model.mean if whole_head else model.landmarks_of(model.mean)
    scale = face_px / float(np.ptp(points[:, 1]))
    vertices = model.mean * np.array([scale, -scale, scale], np.float32)
    vertices = (vertices - vertices.min(0) + np.float32(0.37)).astype(np.float32)
    width, height = np.ceil(vertices[:, :2].max(0)).astype(int) + 1
    values = (model.mean - model.mean.min(0)) / np.ptp(model.mean, axis=0)
    return Scene(vertices, model.triangles, values.astype(np.float32), (int(height), int(width)))


def ours(backend: str, cull: bool) -> Callable[[Scene], Drawn]:
    """Return the rasterizer of this package."""

    def draw(s: Scene) -> Drawn:
        raster = rasterize(s.vertices, s.triangles, s.values, s.shape, cull_backfaces=cull, backend=backend)  # type: ignore[arg-type]  # fmt: skip
        return raster.values, raster.depth

    return draw


def opencv(s: Scene) -> Drawn:
    """Draw with OpenCV 5: a perspective camera at 30 times the depth of the mesh, each vertex on the ray through its pixel."""
    height, width = s.shape
    far_z, near_z = float(s.vertices[:, 2].min()), float(s.vertices[:, 2].max())
    distance = 30 * (near_z - far_z + 1)
    away = distance + near_z - s.vertices[:, 2]
    focal = height / 2
    points = np.empty_like(s.vertices)
    points[:, 0] = (s.vertices[:, 0] + 0.5 - width / 2) * away / focal
    points[:, 1] = -(s.vertices[:, 1] + 0.5 - height / 2) * away / focal
    points[:, 2] = -away
    far = distance + 1.1 * (near_z - far_z + 1)
    settings = cv2.TriangleRasterizeSettings()
    settings.setCullingMode(cv2.RASTERIZE_CULLING_NONE)
    settings.setShadingType(cv2.RASTERIZE_SHADING_SHADED)
    values, depth = cv2.triangleRasterize(
        points, s.triangles, s.values,
        np.zeros((height, width, 3), np.float32), np.full((height, width), far, np.float32),
        np.eye(4, dtype=np.float32), np.pi / 2, 0.9 * distance, far, settings,
    )  # fmt: skip
    beyond = depth > distance + 1.05 * (near_z - far_z + 1)
    return values, np.where(beyond, -np.inf, distance + near_z - depth).astype(np.float32)


def painter(s: Scene) -> Drawn:
    """Draw with any OpenCV: flat triangles from back to front; no depth, no interpolation, edges drawn twice."""
    image = np.zeros((*s.shape, 3), np.float32)
    corners = np.rint(s.vertices[s.triangles][..., :2] * 16).astype(np.int32)
    colors = s.values[s.triangles].mean(axis=1).astype(float).tolist()
    for t in np.argsort(s.vertices[s.triangles][..., 2].sum(axis=1)):
        cv2.fillConvexPoly(image, corners[t], colors[t], cv2.LINE_8, 4)
    return image, np.where(image.any(axis=2), 0, -np.inf).astype(np.float32)


def embree(s: Scene) -> Drawn:
    """Cast a ray through each pixel with Intel's Embree; the time includes building the BVH. No interpolation."""
    import trimesh
    from trimesh.ray.ray_pyembree import RayMeshIntersector

    rays = RayMeshIntersector(trimesh.Trimesh(s.vertices, s.triangles, process=False))
    rows, columns = np.indices(s.shape)
    origins = np.stack([columns, rows, np.full(s.shape, 1e4)], -1).reshape(-1, 3).astype(float)
    hit = rays.intersects_first(origins, np.tile([0.0, 0.0, -1.0], (len(origins), 1)))
    mask = (hit >= 0).reshape(s.shape)
    return np.zeros((*s.shape, 3), np.float32), np.where(mask, 0, -np.inf).astype(np.float32)


def installed(*names: str) -> bool:
    """Whether all these packages are."""
    return all(importlib.util.find_spec(name) is not None for name in names)


def candidates() -> dict[str, tuple[Callable[[Scene], Drawn], str]]:
    """Name -> (program, why it cannot run here; empty = it can)."""
    no_numba = "" if has_compiler() else "numba is not installed"
    no_opencv = "" if hasattr(cv2, "triangleRasterize") else f"OpenCV {cv2.__version__} has none"
    no_embree = "" if installed("trimesh", "embreex") else "embreex is not installed"
    return {
        BASELINE: (ours("numpy", False), ""),
        "NumPy, back faces culled": (ours("numpy", True), ""),
        "Numba": (ours("numba", False), no_numba),
        "Numba, back faces culled": (ours("numba", True), no_numba),
        "cv2.triangleRasterize": (opencv, no_opencv),
        "cv2.fillConvexPoly, back to front (flat, no depth)": (painter, ""),
        "Embree rays (no values)": (embree, no_embree),
    }


def difference(one: Drawn, other: Drawn) -> str:
    """Format the difference of two results: differing pixels, and 99th percentile of the depth difference, px."""
    mask, true = np.isfinite(one[1]), np.isfinite(other[1])
    both = mask & true
    text = f"{(mask != true).sum()} px"
    if np.ptp(one[1][both]) > 0:
        text += f", {np.percentile(np.abs(one[1][both] - other[1][both]), 99):.3f}"
    return text


def measure(s: Scene, runs: int, seconds: float) -> list[Result]:
    """Time all rasterizers alternately, at most ``runs`` times each and ``seconds`` in total."""
    programs = candidates()
    able = {name: draw for name, (draw, note) in programs.items() if not note}
    drawn = {name: draw(s) for name, draw in able.items()}  # includes compilation
    wall: dict[str, list[float]] = {name: [] for name in able}
    busy: dict[str, list[float]] = {name: [] for name in able}
    end = time.perf_counter() + seconds
    for _ in range(runs):
        for name, draw in able.items():
            start, start_busy = time.perf_counter(), time.thread_time()
            draw(s)
            busy[name].append(1e3 * (time.thread_time() - start_busy))
            wall[name].append(1e3 * (time.perf_counter() - start))
        if time.perf_counter() > end:
            break
    base = float(np.median(busy[BASELINE]))
    out = []
    for name, (_, note) in programs.items():
        if note:
            out.append(Result(name, note=note))
            continue
        processor = float(np.median(busy[name]))
        off = difference(drawn[name], drawn[BASELINE])
        median = float(np.median(wall[name]))
        out.append(Result(name, median, processor, processor / base, len(wall[name]), off))
    return out


def markdown(results: list[Result]) -> str:
    """Format the results as a Markdown table."""
    lines = [
        "| rasterizer | ratio to NumPy | CPU time, ms | wall time, ms | runs | difference |",
        "|---|---:|---:|---:|---:|---|",
    ]
    for r in results:
        if r.ratio is None:
            lines.append(f"| {r.name} | not measured: {r.note} | | | | |")
            continue
        lines.append(
            f"| {r.name} | {r.ratio:.3f} | {r.processor_ms:.1f} | {r.median_ms:.1f} | {r.runs} | {r.off} |"
        )
    return "\n".join(lines)


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--face", type=float, default=400, help="height of the mesh, px")
    parser.add_argument(
        "--landmarks", action="store_true", help="--face is the height of the 68 landmarks instead"
    )
    parser.add_argument("--runs", type=int, default=101, help="maximum runs per rasterizer")
    parser.add_argument("--seconds", type=float, default=60, help="maximum total time, s")
    parser.add_argument("--out", type=Path, default=Path("out/raster.json"))
    options = parser.parse_args()
    cv2.setNumThreads(1)
    s = scene(options.face, not options.landmarks)
    print(
        f"{len(s.vertices):,} vertices, {len(s.triangles):,} triangles, {s.shape[1]}x{s.shape[0]} px, "
        f"one thread, OpenCV {cv2.__version__}, NumPy {np.__version__}\n"
    )
    results = measure(s, options.runs, options.seconds)
    print(markdown(results))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps([asdict(r) for r in results], indent=2) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
