"""Make the skin of a face in an image older or younger.

Older: the relief and pigment of :mod:`.wrinkles` are placed by the mesh and lit by the estimated illumination, the face's own lines deepen, and
brows turn gray. Younger: the face's own lines and spots are attenuated.
"""

from __future__ import annotations

import cv2
import numpy as np

from tddfa_ros.editing.skin_view import SkinView, blurred, fast_blur, view_skin
from tddfa_ros.editing.wrinkles import PER_MM, map_pixels, old_skin
from tddfa_ros.errors import ConfigError
from tddfa_ros.face import Face
from tddfa_ros.types import FloatArray, ImageBGR, check_image

_LUMINANCE = np.array([0.0722, 0.7152, 0.2126], np.float32)  # of linear B, G, R
_DEEPEN = 0.9  # gain on the face's own lines at age 1
_ATTENUATE = 0.75  # share of the face's own lines that is removed at age -1
_FINE, _COARSE, _FOLDS = 0.45, 4.0, 7.0  # mm: band of own lines; of folds when younger
_CAVITY = 0.75  # per mm: darkening of the floor of a groove
_GAIN = (0.42, 1.30)  # limits of the change of light
_TINT = np.array([1.15, 1.08, 0.86], np.float32)  # exponents of B, G, R: shadows of skin are red
_PIGMENT = np.array([0.34, 0.26, 0.16], np.float32)  # optical density of B, G, R
_HOLLOW = np.array([0.20, 0.20, 0.15], np.float32)
_PALE = 0.10  # loss of chroma


def age_skin(image: ImageBGR, face: Face, age: float) -> ImageBGR:
    """Return a copy of the image with the face's skin older (0..1) or younger (-1..0); the shape is unchanged.

    Args:
        image: (H, W, 3) uint8 BGR.
        face: the face in the image.
        age: 0 = unchanged.

    Raises:
        ConfigError: ``age`` is not within -1..1. ImageError: the image is invalid.
    """
    check_image(image)
    if not (np.isfinite(age) and -1 <= age <= 1):
        raise ConfigError(f"the age of skin must be within -1 to 1, not {age}")
    out = image.copy()
    view = view_skin(image, face) if age else None
    if view is None:
        return out
    window = image[view.slices]
    linear = _to_linear(window)
    density = _own_lines(linear, view, age)
    if age > 0:
        density = density + age * _old_layer(linear, view, face)
    new = linear * np.exp(density * view.skin[..., None])
    out[view.slices] = np.where(view.skin[..., None] > 1e-3, _to_bytes(new), window)
    if age > 0:
        _gray_brows(out, view, age)
    return out


def _own_lines(linear: FloatArray, view: SkinView, age: float) -> FloatArray:
    """Return the change of log light (h, w, 1) that deepens or attenuates the lines which the image shows."""
    light = np.log(np.maximum(linear @ _LUMINANCE, 2e-3)).astype(np.float32)
    per_mm, skin = view.per_mm, view.skin
    fine = blurred(light, skin, max(_FINE * per_mm, 0.5))
    if age > 0:
        lines = np.clip(fine - blurred(light, skin, _COARSE * per_mm), -0.35, 0.2)
        return np.asarray(age * _DEEPEN * lines, np.float32)[..., None]
    fine = blurred(light, skin, max(0.5 * _FINE * per_mm, 0.4))
    lines = fine - blurred(light, skin, _FOLDS * per_mm)
    # Lights and shadows of the features themselves are larger than lines, and stay.
    lines *= np.exp(-((lines / 0.45) ** 2))
    return np.asarray(age * _ATTENUATE * lines, np.float32)[..., None]


def _old_layer(linear: FloatArray, view: SkinView, face: Face) -> FloatArray:
    """Return the change of log light (h, w, 3) by relief and pigment of old skin."""
    maps = old_skin(face.model)
    places = map_pixels(view.places)
    # Prefilter: a pixel of the image may hold many of the map.
    blur = 0.5 * PER_MM / view.per_mm

    def sample(values: FloatArray) -> FloatArray:
        soft = cv2.GaussianBlur(values, (0, 0), blur) if blur > 0.3 else values
        found = cv2.remap(
            soft, places[..., 0], places[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT
        )
        return np.asarray(found, np.float32)

    height = 1.6 * sample(maps.relief)
    slope = _relit(linear, height, view)
    around = fast_blur(height, 3.0 * view.per_mm)
    floor = np.maximum(around - height, 0)
    change = slope - _CAVITY * floor
    change = np.clip(change, np.log(_GAIN[0]), np.log(_GAIN[1]))
    density = sample(maps.pigment)[..., None] * _PIGMENT + sample(maps.hollow)[..., None] * _HOLLOW
    return np.asarray(change[..., None] * _TINT - density, np.float32)


def _relit(linear: FloatArray, height: FloatArray, view: SkinView) -> FloatArray:
    """Return the change of log light (h, w) by the slopes of a relief, mm, under the illumination of the skin."""
    ambient, light = _illumination(linear, view)
    nz = np.maximum(view.normals[..., 2], 0.3)
    lifted = view.per_mm * height / nz
    dx = cv2.Scharr(lifted, cv2.CV_32F, 1, 0) / 32
    dy = -cv2.Scharr(lifted, cv2.CV_32F, 0, 1) / 32
    normal = np.stack(
        [view.normals[..., 0] / nz - dx, view.normals[..., 1] / nz - dy, np.ones_like(nz)], axis=-1
    )
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    flat = np.stack(
        [view.normals[..., 0] / nz, view.normals[..., 1] / nz, np.ones_like(nz)], axis=-1
    )
    flat /= np.linalg.norm(flat, axis=-1, keepdims=True)
    least = 0.25 * (ambient + np.linalg.norm(light))
    before, after = (np.maximum(ambient + n @ light, least) for n in (flat, normal))
    return np.asarray(np.log(after / before), np.float32)


_ABOVE = np.array([0.0, 0.55, 0.83], np.float32)


def _illumination(linear: FloatArray, view: SkinView) -> tuple[float, FloatArray]:
    """Fit ambient light and a directional light (3,) to the luminance of the skin, which sum to about 1.

    A face lit evenly says little; then light from above the viewer is assumed.
    """
    sure = view.skin > 0.6
    if sure.sum() < 100:
        return 0.55, 0.45 * _ABOVE
    step = max(int(sure.sum() // 4000), 1)
    normals = view.normals[sure][::step]
    light = (linear[sure][::step] @ _LUMINANCE).astype(np.float32)
    light = np.minimum(light, np.quantile(light, 0.95))
    basis = np.column_stack([np.ones(len(normals)), normals])
    fit = np.linalg.solve(
        basis.T @ basis + 0.02 * len(basis) * np.diag([0, 1, 1, 1]), basis.T @ light
    )
    scale = max(float(light.mean()), 1e-3)
    found = fit[1:] / scale
    found[2] = max(found[2], 0.0)
    strength = float(np.linalg.norm(found))
    direction = (0.25 * _ABOVE + found).astype(np.float32)
    direction /= np.linalg.norm(direction)
    strength = float(np.clip(strength, 0.45, 0.8))
    return 1 - strength, (strength * direction).astype(np.float32)


def _gray_brows(image: ImageBGR, view: SkinView, age: float) -> None:
    """Turn the hairs of the brows gray, in place: what is darker than the skin around within the zone of the brows."""
    window = image[view.slices]
    scaled = window.astype(np.float32) / np.float32(255)
    lab = np.asarray(cv2.cvtColor(scaled, cv2.COLOR_BGR2Lab), np.float32)
    skin = blurred(lab, view.skin * (1 - view.brows), 6.0 * view.per_mm)
    dark = (skin[..., 0] - lab[..., 0]) / np.maximum(skin[..., 0], 1.0)
    hair = np.clip((dark - 0.14) / 0.26, 0, 1) * view.brows
    hair = np.asarray(cv2.GaussianBlur(hair.astype(np.float32), (0, 0), 0.6), np.float32)
    gray = lab.copy()
    gray[..., 0] += 0.3 * (skin[..., 0] * 0.92 - lab[..., 0])
    gray[..., 1:] = 0.3 * gray[..., 1:] + 0.22 * skin[..., 1:]
    mixed = lab + (age * hair)[..., None] * (gray - lab)
    changed = cv2.cvtColor(mixed, cv2.COLOR_Lab2BGR) * 255
    here = hair[..., None] > 1e-3
    image[view.slices] = np.where(here, np.clip(np.rint(changed), 0, 255).astype(np.uint8), window)


def _to_linear(image: ImageBGR) -> FloatArray:
    """Convert sRGB bytes to linear light 0..1."""
    value = np.arange(256) / 255.0
    table = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return np.asarray(table.astype(np.float32)[image], np.float32)


def _to_bytes(linear: FloatArray) -> ImageBGR:
    """Convert linear light to sRGB bytes."""
    value = np.clip(linear, 0, 1)
    coded = np.where(value <= 0.0031308, 12.92 * value, 1.055 * value ** (1 / 2.4) - 0.055)
    return np.asarray(np.rint(255 * coded), np.uint8)
