"""Check that the covariance of the head pose is calibrated; prints a Markdown table.

    python benchmarks/covariance.py --faces FOLDER

Heads of known size and pose are rendered through known cameras, with the textures of the faces in FOLDER (default: the portrait that
scikit-image ships), and regressed. The normalized error squared per degree of freedom (NEES, Bar-Shalom et al., Estimation with
Applications to Tracking and Navigation, 5.4.2) is 1 for a calibrated covariance, above 1 when it promises too much.

The distance of the eyes of the rendered people follows measurements of people, not the morphable model: adults 63.4 +- 3.8 mm
(Dodgson, Variation and extrema of human interpupillary distance, 2004), children of 3 to 10 years by age (MacLachlan & Howland, Normal
values and standard deviations for pupil diameter and interpupillary distance in subjects aged 1 month to 19 years, 2002).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zlib import crc32

import cv2
import numpy as np
from numpy.typing import NDArray
from scenes import portrait

from tddfa_ros import FacePipeline
from tddfa_ros.face import Face
from tddfa_ros.geometry.camera import SELLION
from tddfa_ros.geometry.lens import project
from tddfa_ros.geometry.pose import CAMERA_FROM_CROP, rotation_from_yaw_pitch_roll
from tddfa_ros.geometry.rotation import log
from tddfa_ros.geometry.scale import eye_span, scale_from_interpupillary_distance
from tddfa_ros.model_store.store import default_store
from tddfa_ros.morphable.attributes import DEFAULT_ATTRIBUTES, AttributeSet
from tddfa_ros.rendering.raster import visible_surface
from tddfa_ros.rendering.texture import sample_texture
from tddfa_ros.tracking.depth import measure_scale
from tddfa_ros.types import EQUIDISTANT, Intrinsics

Array = NDArray[np.float64]

WIDTH, HEIGHT = 640, 480
MIN_CONFIDENCE = 0.4
_SMALLEST = 80.0  # px, of a face that gives a texture
_ADULT, _ADULT_SD = 0.0634, 0.0038
_CHILD_SD = 0.003


@dataclass(frozen=True)
class Condition:
    """How heads are placed and seen.

    Attributes:
        name: row of the table.
        camera: draws the true camera.
        angles: limits of |yaw|, degrees; pitch and roll are up to 10.
        distance: limits, m.
        off_axis: limits of the angle between the optical axis and the head, degrees.
        child: whether the heads are children's.
        calibrated: whether the true camera is known; else 60 degrees are assumed.
        knows: ``depth`` = an aligned depth image with 5 mm of noise, ``span`` = the interpupillary distance, else nothing.
    """

    name: str
    camera: Callable[[np.random.Generator], Intrinsics]
    angles: tuple[float, float] = (0.0, 15.0)
    distance: tuple[float, float] = (0.6, 1.2)
    off_axis: tuple[float, float] = (0.0, 12.0)
    child: bool = False
    calibrated: bool = True
    knows: str = ""


def pinhole(fov: float, cx: float = 0.5, cy: float = 0.5, d: tuple[float, ...] = ()) -> Intrinsics:
    made = Intrinsics.from_fov(WIDTH, HEIGHT, fov)
    k = made.k.copy()
    k[:2, 2] = cx * WIDTH - 0.5, cy * HEIGHT - 0.5
    return Intrinsics(WIDTH, HEIGHT, k, np.array(d))


def fisheye() -> Intrinsics:
    k = np.array([[210.0, 0, 319.5], [0, 210.0, 239.5], [0, 0, 1]])
    d = np.array([-0.012, 0.021, -0.014, 0.003])
    return Intrinsics(WIDTH, HEIGHT, k, d, distortion_model=EQUIDISTANT)


BARREL = (-0.32, 0.12, 0.001, -0.0008, -0.02)

CONDITIONS = (
    Condition("frontal, near (0.4 to 0.6 m)", lambda _: pinhole(60), distance=(0.4, 0.6)),
    Condition("frontal, far (1.5 to 2.5 m)", lambda _: pinhole(60), distance=(1.5, 2.5)),
    Condition("yaw 40 to 60", lambda _: pinhole(60), angles=(40, 60)),
    Condition("edge of a wide lens (100 degrees)", lambda _: pinhole(100), off_axis=(33, 44), distance=(0.5, 0.9)),
    Condition("off-center principal point", lambda _: pinhole(50, 0.15, 0.85), off_axis=(10, 25)),
    Condition("barrel distortion", lambda _: pinhole(75, d=BARREL), off_axis=(15, 30)),
    Condition("equidistant, 40 to 60 off axis", lambda _: fisheye(), off_axis=(40, 60), distance=(0.4, 0.7)),
    Condition("no CameraInfo, true FOV 60 to 90", lambda rng: pinhole(rng.uniform(60, 90)), calibrated=False),
    Condition("child of 3 to 10 years", lambda _: pinhole(60), child=True),
    Condition("child, interpupillary distance", lambda _: pinhole(60), child=True, knows="span"),
    Condition("depth image", lambda _: pinhole(60), knows="depth"),
    Condition("depth image, child", lambda _: pinhole(60), child=True, knows="depth"),
    Condition("depth image, yaw 40 to 60", lambda _: pinhole(60), angles=(40, 60), knows="depth"),
)  # fmt: skip


class People:
    """Draws heads with the model's shapes, human sizes and the textures of real faces."""

    def __init__(self, pipe: FacePipeline, folder: Path | None) -> None:
        self.model = pipe.model
        images = [portrait()] if folder is None else _images(folder)
        self.textures = [
            sample_texture(image, faces[0], 512)
            for image in images
            if (faces := pipe(image)) and faces[0].face_size > _SMALLEST
        ]
        store = default_store()
        self._child = AttributeSet.load(store.path(DEFAULT_ATTRIBUTES))[
            "child_proportions"
        ].direction

    def draw(self, rng: np.random.Generator, child: bool) -> tuple[Array, Array, Any]:
        """Return vertices (N, 3) and landmarks (68, 3), m, model frame, and a texture."""
        layout = self.model.layout
        params = np.zeros(layout.size, dtype=np.float32)
        identity = rng.normal(size=layout.shape) * 0.7
        along = self._child / np.linalg.norm(self._child)
        identity -= (identity @ along) * along
        age = rng.uniform(3, 10)
        if child:
            identity = identity * 0.6 + self._child * np.interp(age, [3, 10], [0.9, 0.45])
            span = rng.normal(_child_span(age, rng.random() < 0.5), _CHILD_SD)
        else:
            span = rng.normal(_ADULT, _ADULT_SD)
        params[layout.shape_slice] = identity
        landmarks = self.model.head_landmarks(params).astype(np.float64)
        size = span / eye_span(landmarks)
        params[layout.expression_slice] = np.clip(rng.normal(0, 0.15, layout.expression), 0, 0.6)
        vertices = self.model.head(params).astype(np.float64) * size
        landmarks = self.model.head_landmarks(params).astype(np.float64) * size
        return vertices, landmarks, self.textures[rng.integers(len(self.textures))]


def _child_span(age: float, boy: bool) -> float:
    """Interpupillary distance, m, by age, years (MacLachlan & Howland, 2002)."""
    mm = 43.36 + 1.663 * age - 0.034 * age**2 if boy else 41.76 + 1.891 * age - 0.052 * age**2
    return 1e-3 * mm


def _images(folder: Path) -> Iterator[Any]:
    for path in sorted(folder.iterdir())[:60]:
        image = cv2.imread(str(path))
        if image is not None:
            scale = min(1.0, 1000 / max(image.shape[:2]))
            yield cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def place(
    condition: Condition, camera: Intrinsics, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Draw rotation (3, 3), camera <- model, and translation (3,), m, of a head that is seen by the camera."""
    low, high = condition.angles
    yaw = rng.uniform(low, high) * rng.choice([-1, 1])
    pitch, roll = rng.uniform(-10, 10, 2)
    while True:
        theta = np.radians(rng.uniform(*condition.off_axis))
        phi = rng.uniform(0, 2 * np.pi)
        ray = np.array([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)])
        (x, y), margin = project(ray[None], camera)[0], 30
        if margin < x < WIDTH - margin and margin < y < HEIGHT - margin:
            break
    # The head is turned relative to its viewing ray, as people look past or into the camera.
    axis = np.cross([0.0, 0.0, 1.0], ray)
    toward = cv2.Rodrigues(axis / max(np.linalg.norm(axis), 1e-9) * theta)[0]
    rotation = (
        toward @ CAMERA_FROM_CROP @ rotation_from_yaw_pitch_roll(np.array([yaw, pitch, roll]))
    )
    return rotation, rng.uniform(*condition.distance) * ray


def render(
    people: People, vertices: Array, texture: Any, camera: Intrinsics, rng: np.random.Generator
) -> tuple[Any, Any]:
    """Draw vertices (N, 3), camera optical frame, m, on a smooth random background, with noise: color image and depth, m."""
    model, over = people.model, 2
    pixels = (project(vertices, camera) + 0.5) * over - 0.5
    points = np.column_stack([pixels, -1000 * np.linalg.norm(vertices, axis=1)]).astype(np.float32)
    surface = visible_surface(
        points, model.triangles, (over * HEIGHT, over * WIDTH), cull_backfaces=False
    )
    uv = surface.interpolate(model.uv)
    side = texture.shape[0]
    colors = cv2.remap(
        texture, uv[..., 0] * side - 0.5, (1 - uv[..., 1]) * side - 0.5, cv2.INTER_LINEAR
    )
    image = cv2.resize(
        rng.integers(40, 200, (6, 8, 3), dtype=np.uint8),
        (over * WIDTH, over * HEIGHT),
        interpolation=cv2.INTER_CUBIC,
    )
    image[surface.mask] = colors[surface.mask]
    image = cv2.resize(image, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    noisy = image + rng.normal(0, 3, image.shape)
    depth = surface.interpolate(vertices[:, 2:].astype(np.float32))[::over, ::over, 0]
    depth = np.where(depth > 0, depth + rng.normal(0, 0.005, depth.shape), 3.0)
    return np.clip(noisy, 0, 255).astype(np.uint8), depth.astype(np.float32)


@dataclass(frozen=True)
class Sample:
    """A regressed head and its true pose: rotation (3, 3) and sellion (3,), m, camera optical frame."""

    face: Face
    rotation: Array
    sellion: Array

    def errors(self) -> tuple[Array, Array, Array]:
        """Errors of position (3,), m, and rotation (3,), rad, and the covariance (6, 6)."""
        fit = self.face.metric_fit
        turn = log(fit.rotation @ self.rotation.T)
        return fit.head_pose.position - self.sellion, turn, fit.head_pose.covariance


def samples(condition: Condition, people: People, pipe: FacePipeline, count: int) -> list[Sample]:
    """Render and regress ``count`` heads; those that the confidence rejects are left out."""
    rng = np.random.default_rng(crc32(condition.name.encode()))
    found = []
    for _ in range(count):
        camera = condition.camera(rng)
        head, landmarks, texture = people.draw(rng, condition.child)
        rotation, translation = place(condition, camera, rng)
        image, depth = render(people, head @ rotation.T + translation, texture, camera, rng)
        pixels = project(landmarks @ rotation.T + translation, camera)
        low, high = pixels.min(axis=0), pixels.max(axis=0)
        jitter = rng.normal(0, 0.04, 4) * (high - low).mean()
        known = camera if condition.calibrated else Intrinsics.from_fov(WIDTH, HEIGHT)
        face = pipe.align(image, np.concatenate([low, high])[None] + jitter, known)[0]
        if condition.knows == "span":
            span = eye_span(landmarks)
            regressed = people.model.head_landmarks(face.params)
            face = replace(face, scale=scale_from_interpupillary_distance(regressed, span))
        elif condition.knows == "depth":
            face = replace(face, scale=measure_scale(face, depth))
        if face.confidence >= MIN_CONFIDENCE:
            sellion = rotation @ landmarks[SELLION] + translation
            found.append(Sample(face, rotation, sellion))
    return found


def row(name: str, found: list[Sample], count: int) -> str:
    """Format NEES per degree of freedom of position and rotation, and the errors themselves."""
    errors = [sample.errors() for sample in found]
    position = np.mean([e @ np.linalg.solve(c[:3, :3], e) / 3 for e, _, c in errors])
    rotation = np.mean([t @ np.linalg.solve(c[3:, 3:], t) / 3 for _, t, c in errors])
    ratio = [
        np.linalg.norm(s.face.head_pose.position) / np.linalg.norm(s.sellion) - 1 for s in found
    ]
    degrees = [np.degrees(np.linalg.norm(turn)) for _, turn, _ in errors]
    return (
        f"| {name} | {position:.2f} | {rotation:.2f} | {100 * np.mean(ratio):+.1f} +- {100 * np.std(ratio):.1f} % "
        f"| {np.mean(degrees):.1f} | {len(found)} of {count} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Check the covariance of the head pose.")
    parser.add_argument("--faces", type=Path, help="folder of images with a face each")
    parser.add_argument("--count", type=int, default=100, help="heads per condition")
    parser.add_argument("--only", default="", help="conditions whose name contains this")
    args = parser.parse_args()
    pipe = FacePipeline()
    people = People(pipe, args.faces)
    print(f"{len(people.textures)} textures, {args.count} heads per condition\n")
    print("| condition | NEES position | NEES rotation | distance | rotation, degrees | used |")
    print("|---|---|---|---|---|---|")
    for condition in (c for c in CONDITIONS if args.only in c.name):
        found = samples(condition, people, pipe, args.count)
        print(row(condition.name, found, args.count), flush=True)


if __name__ == "__main__":
    main()
