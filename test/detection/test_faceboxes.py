"""Priors, decoding and scaling; `test/official/test_golden.py` compares a real network with the original program."""

from __future__ import annotations

from math import ceil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="needed to build the network under test")

from support.constant_network import write_constant_network

from tddfa_ros.detection.faceboxes import FaceBoxes, decode, priors


def slow_priors(height: int, width: int) -> list[list[float]]:
    """Priors by explicit loops, as in the reference implementation."""
    found = []
    for stride in (32, 64, 128):
        for row in range(ceil(height / stride)):
            for column in range(ceil(width / stride)):
                if stride == 32:
                    places = [
                        (32, dx, dy) for dy in (0, 0.25, 0.5, 0.75) for dx in (0, 0.25, 0.5, 0.75)
                    ]
                    places += [(64, dx, dy) for dy in (0, 0.5) for dx in (0, 0.5)]
                    places += [(128, 0.5, 0.5)]
                else:
                    places = [({64: 256, 128: 512}[stride], 0.5, 0.5)]
                for side, dx, dy in places:
                    found.append(
                        [
                            (column + dx) * stride / width,
                            (row + dy) * stride / height,
                            side / width,
                            side / height,
                        ]
                    )
    return found


@pytest.mark.parametrize("size", [(96, 160), (100, 33), (720, 1080)])
def test_priors_match_the_reference(size: tuple[int, int]) -> None:
    np.testing.assert_allclose(priors(*size), slow_priors(*size), rtol=1e-6)
    assert priors(*size) is priors(*size), "cached per size"


def test_decoding_inverts_the_encoding() -> None:
    """SSD's: offsets are (center - prior center) / (0.1 * side) and log(side / prior side) / 0.2."""
    rng = np.random.default_rng(1)
    squares = priors(128, 128)[:50]
    low = rng.uniform(0, 0.5, (50, 2))
    boxes = np.hstack([low, low + rng.uniform(0.05, 0.4, (50, 2))])
    centers, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    offsets = np.hstack(
        [
            (centers - squares[:, :2]) / (0.1 * squares[:, 2:]),
            np.log(sides / squares[:, 2:]) / 0.2,
        ]
    )
    np.testing.assert_allclose(decode(offsets.astype(np.float32), squares), boxes, atol=1e-6)


def network(path: Path, height: int, width: int, faces: dict[int, float]) -> Path:
    """Write a FaceBoxes network with given scores per prior index; the blue channel adds to all scores."""
    count = len(slow_priors(height, width))
    probabilities = np.zeros((1, count, 2), np.float32)
    for prior, score in faces.items():
        probabilities[0, prior] = 1 - score, score
    outputs = {"offsets": np.zeros((1, count, 4)), "probabilities": probabilities}
    return write_constant_network(path, outputs)


def test_small_images_are_not_upscaled_and_threshold_applies(tmp_path: Path) -> None:
    path = network(tmp_path / "n.onnx", 64, 96, {0: 0.9, 20: 0.6, 5 * 21: 0.3})
    detector = FaceBoxes(path, device="cpu")
    image = np.zeros((64, 96, 3), np.uint8)
    # Prior 0 is 32 px around (0, 0), prior 20 128 px around the middle of the first cell, (16, 16).
    expected = np.array([[-48, -48, 80, 80, 0.6], [-16, -16, 16, 16, 0.9]])
    np.testing.assert_allclose(detector(image), expected, atol=1e-4)
    detector.score_threshold = 0.7
    np.testing.assert_allclose(detector(image), expected[1:], atol=1e-4)
    detector.score_threshold, detector.max_faces = 0.2, 2
    assert len(detector(image)) == 2
    detector.score_threshold = 0.95
    assert detector(image).shape == (0, 5)


@pytest.mark.parametrize(
    ("shape", "input_size", "seen"),
    [
        ((1440, 1000), 0, (720, 500)),
        ((700, 2160), 0, (350, 1080)),
        ((1440, 2700), 0, (576, 1080)),
        ((480, 640), 320, (240, 320)),
        ((480, 640), 1000, (480, 640)),
    ],
)
def test_large_images_are_downscaled(
    tmp_path: Path, shape: tuple[int, int], input_size: int, seen: tuple[int, int]
) -> None:
    path = network(tmp_path / "n.onnx", *seen, {0: 0.9})
    (box,) = FaceBoxes(path, input_size, device="cpu")(np.zeros((*shape, 3), np.uint8))
    scale = shape[0] / seen[0]
    np.testing.assert_allclose(box[:4], np.array([-16, -16, 16, 16]) * scale, rtol=1e-3)
