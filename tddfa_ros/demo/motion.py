"""Ground-truth motion of the demo's virtual camera, by registration of the recorded images to the still image.

Each recorded image is a similarity transform of the still image. Registration recovers it to a few hundredths of a pixel,
independently of the virtual camera's code; landmarks mapped back to the still image should be constant.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from tddfa_ros.demo.recording import Recording
from tddfa_ros.types import DoubleArray, ImageBGR

_POINTS = 300
_MIN_INLIERS = 40
_ITERATIONS = 2


def demo_photo() -> ImageBGR | None:
    """Load the still image of the demo source (scikit-image's astronaut), BGR; None without scikit-image."""
    try:
        from skimage import data
    except ImportError:
        return None
    photo: Any = data
    return np.ascontiguousarray(photo.astronaut()[..., ::-1])


def photo_motion(recording: Recording, photo: ImageBGR) -> dict[int, DoubleArray]:
    """Register every image of a recording to its still image.

    Returns:
        Image stamp, ns -> similarity (2, 3) from image px to still px; without images that cannot be registered.
    """
    motion: dict[int, DoubleArray] = {}
    reference = cv2.cvtColor(photo, cv2.COLOR_BGR2GRAY)
    guess: DoubleArray | None = None
    total = len(recording.image_stamps)
    for stamp, image in tqdm(
        recording.images(), total=total, desc="registering", unit="frame", disable=None
    ):
        gray = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        found = refine(reference, gray, guess) if guess is not None else None
        if found is None:
            first = find(reference, gray)
            found = refine(reference, gray, first) if first is not None else None
        if found is not None:
            motion[stamp] = invert(found)
        guess = found
    return motion


def find(reference: Any, image: Any) -> DoubleArray | None:
    """Estimate a coarse similarity (2, 3), reference px to image px, by ORB features; None with too few matches."""
    features: Any = cv2  # the type stubs lack ORB
    detector = features.ORB_create(1500)
    points_a, words_a = detector.detectAndCompute(reference, None)
    points_b, words_b = detector.detectAndCompute(image, None)
    if words_a is None or words_b is None:
        return None
    matches = cv2.BFMatcher(cv2.NORM_HAMMING, crossCheck=True).match(words_a, words_b)
    if len(matches) < _MIN_INLIERS:
        return None
    a = np.array([points_a[m.queryIdx].pt for m in matches], dtype=np.float32)
    b = np.array([points_b[m.trainIdx].pt for m in matches], dtype=np.float32)
    return _similarity(a, b, 3.0)


def refine(reference: Any, image: Any, guess: DoubleArray) -> DoubleArray | None:
    """Refine a similarity (reference px to image px) by optical flow from the warped reference to the image."""
    height, width = image.shape
    for _ in range(_ITERATIONS):
        warped = cv2.warpAffine(reference, guess, (width, height), flags=cv2.INTER_LINEAR)
        covered = cv2.warpAffine(np.full_like(reference, 255), guess, (width, height))
        covered = cv2.erode(covered, np.ones((25, 25), np.uint8))
        corners = cv2.goodFeaturesToTrack(warped, _POINTS, 0.01, 8, mask=covered)
        if corners is None:
            return None
        empty: Any = None
        moved, good, _ = cv2.calcOpticalFlowPyrLK(warped, image, corners, empty, winSize=(21, 21))
        kept = good.ravel() == 1
        # Corners of the warped reference, in reference px.
        source = _apply(invert(guess), corners.reshape(-1, 2)[kept])
        better = _similarity(source, moved.reshape(-1, 2)[kept], 0.5)
        if better is None:
            return None
        guess = better
    return guess


def invert(similarity: DoubleArray) -> DoubleArray:
    """Invert an affine transform (2, 3)."""
    linear = np.linalg.inv(similarity[:, :2])
    return np.column_stack([linear, -linear @ similarity[:, 2]])


def _apply(affine: DoubleArray, points: Any) -> Any:
    return (points @ affine[:, :2].T + affine[:, 2]).astype(np.float32)


def _similarity(a: Any, b: Any, threshold: float) -> DoubleArray | None:
    if len(a) < _MIN_INLIERS:
        return None
    found, inliers = cv2.estimateAffinePartial2D(a, b, ransacReprojThreshold=threshold)
    if found is None or int(inliers.sum()) < max(_MIN_INLIERS, 0.3 * len(a)):
        return None
    return np.asarray(found, dtype=np.float64)
