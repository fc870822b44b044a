from __future__ import annotations

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is an optional dependency")

import torch

from tddfa_ros.device.crops import sample_crops, upload_frames
from tddfa_ros.errors import ImageError
from tddfa_ros.geometry.roi import crop
from tddfa_ros.runtime.torch_device import StagingBuffers

# OpenCV 4 rounds coordinates to 1/32 px; on an image as smooth as this one that is a gray level or two.
TOLERANCE = 1 if int(cv2.__version__.split(".")[0]) >= 5 else 4
ROIS = {
    "inside": (100.3, 80.7, 260.1, 240.5),
    "enlarged": (200.2, 150.4, 231.9, 182.1),
    "over the corner": (-60.5, -40.2, 120.0, 140.3),
    "over the right edge": (520.4, 300.1, 720.9, 500.6),
    "blocks of 2": (50.5, 20.25, 340.5, 310.25),
    "blocks of 3, over the edge": (-150.7, 60.1, 260.2, 471.0),
    "not square": (30.0, 40.0, 330.0, 340.0 + 120.0),
    "blocks of 8, around the frame": (-200.0, -300.0, 800.0, 700.0),
    "outside": (700.0, 10.0, 800.0, 110.0),
    "one px over the left edge": (-120.0, 10.0, 0.5, 130.5),
}


def frame(seed: int, width: int = 640, height: int = 480) -> np.ndarray:
    noise = np.random.default_rng(seed).uniform(-1, 1, (height, width, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 5)
    return cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


@pytest.fixture
def buffers() -> StagingBuffers:
    return StagingBuffers(torch.device("cpu"))


def test_crops_match_the_cpu_path(buffers: StagingBuffers) -> None:
    frames = [frame(0), frame(1, 700, 500)]
    rois = np.array([*ROIS.values()] * 2)
    index = np.repeat([0, 1], len(ROIS))
    found = sample_crops(upload_frames(frames, buffers), index, rois, 120).numpy()
    for i, (crops, roi) in enumerate(zip(found, rois, strict=True)):
        expected = crop(frames[index[i]], roi).astype(np.float32)
        off = np.abs(crops - expected)
        assert off.max() <= TOLERANCE, list(ROIS)[i % len(ROIS)]
        assert off.mean() < 0.1 * TOLERANCE
    assert found[list(ROIS).index("outside")].max() == 0
    assert np.ptp(found[list(ROIS).index("inside")]) > 50


def test_faces_are_split_where_averaging_needs_much_memory(
    buffers: StagingBuffers, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = upload_frames([frame(0)], buffers)
    rois, index = np.array([ROIS["blocks of 2"]] * 5) + np.arange(5)[:, None], np.zeros(5, np.intp)
    together = sample_crops(frames, index, rois, 120)
    monkeypatch.setattr("tddfa_ros.device.crops._LARGEST_GATHER", 200_000)
    assert torch.equal(sample_crops(frames, index, rois, 120), together)


def test_tensor_of_frames_is_not_copied(buffers: StagingBuffers) -> None:
    frames = torch.from_numpy(np.stack([frame(0), frame(1)]))
    uploaded = upload_frames(frames, buffers)
    assert uploaded.pixels.data_ptr() == frames.data_ptr() and buffers.allocations == 0
    rois, index = np.array([*ROIS.values()]), np.arange(len(ROIS)) % 2
    expected = sample_crops(upload_frames(list(frames.numpy()), buffers), index, rois, 120)
    assert torch.equal(sample_crops(uploaded, index, rois, 120), expected)


def test_rejects_unusable_frames_and_rois(buffers: StagingBuffers) -> None:
    with pytest.raises(ImageError, match="non-empty BGR array"):
        upload_frames([np.zeros((4, 4), np.uint8)], buffers)
    with pytest.raises(ImageError, match="frames must be a tensor"):
        upload_frames(torch.zeros((1, 4, 4, 3)), buffers)
    frames = upload_frames([frame(0)], buffers)
    for roi in ((0, 0, 0, 5), (0, 0, np.nan, 5), (0, 0, 1e6, 1e6)):
        with pytest.raises(ImageError, match="region of interest"):
            sample_crops(frames, np.zeros(1, np.intp), np.array([roi], float), 120)


def test_no_faces(buffers: StagingBuffers) -> None:
    frames = upload_frames([frame(0)], buffers)
    assert sample_crops(frames, np.zeros(0, np.intp), np.zeros((0, 4)), 120).shape == (
        0,
        120,
        120,
        3,
    )
