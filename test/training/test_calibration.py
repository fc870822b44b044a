from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tddfa_ros.errors import ConfigError
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.training.cache import FaceCache

torch = pytest.importorskip("torch", reason="the extra [training] (torch) is not installed")

from torch import nn  # noqa: E402

from tddfa_ros.training.calibration import Calibration, Confidence, calibrate, sigma_scale  # noqa: E402
from tddfa_ros.training.networks import Predictions  # noqa: E402


class Brightness(nn.Module):
    """A network whose logit is the share of bright pixels in %, and whose landmarks disagree by 3 px and that much more."""

    def __init__(self, model: MorphableModel, params: np.ndarray, head: bool = True) -> None:
        super().__init__()
        self.confidence_head = nn.Identity() if head else None
        self._params = torch.from_numpy(params)
        from tddfa_ros.training.framing import landmark_pixels

        self._landmarks = torch.from_numpy(landmark_pixels(model, params).astype(np.float32))

    sigma_head = None

    def forward(self, image: torch.Tensor) -> Predictions:
        self.seen = image
        share = 100 * (image > 0.75).float().mean(dim=(1, 2, 3))
        landmarks = self._landmarks.repeat(len(image), 1, 1)
        landmarks = landmarks + torch.stack([3 + share, 0 * share], dim=1)[:, None]
        confidence = share if self.confidence_head is not None else None
        return Predictions(self._params.repeat(len(image), 1), landmarks, confidence)


def curve(confidence: Confidence, score: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp((confidence.midpoint - score) / confidence.width))


def test_confidence_head_is_calibrated_against_negatives(
    tiny_model: MorphableModel, tiny_cache: FaceCache
) -> None:
    cache = replace(tiny_cache, held_out=np.arange(132) % 2 == 0)  # 48 faces, 18 others
    found = calibrate(Brightness(tiny_model, cache.params[0]), cache, tiny_model, 120)
    assert found.of_head
    assert (len(found.faces), len(found.others)) == (48, 18)
    assert (found.others < 0.01).all() and (found.faces > 1).all(), "only faces have bright spots"
    assert found.auc == 1.0
    told = curve(found.confidence, np.sort(found.faces))
    assert told[0] < 0.5 < told[1], "one of 48 faces lies under the quantile of 2 %"
    assert np.median(curve(found.confidence, found.faces)) == pytest.approx(0.98, abs=0.005)


@pytest.mark.parametrize("head", [True, False])
def test_agreement_is_calibrated_without_negatives(
    tiny_model: MorphableModel, tiny_cache: FaceCache, head: bool
) -> None:
    """No head, or no crops without a face: the score is the negative disagreement in px."""
    cache = tiny_cache
    if head:
        cache = replace(tiny_cache, held_out=tiny_cache.held_out & tiny_cache.face)
    found = calibrate(Brightness(tiny_model, cache.params[0], head), cache, tiny_model, 96)
    assert not found.of_head
    assert (found.faces < -3).all()
    assert found.confidence.midpoint < -3 and found.confidence.width > 0
    assert len(found.others) == (0 if head else 3)
    assert np.isnan(found.auc) if head else found.auc == 0.0, "noise disagrees less here"


def test_calibration_frames_faces_as_tracking(
    tiny_model: MorphableModel, tiny_cache: FaceCache
) -> None:
    """Faces are framed by their landmarks with ROI noise, independent of the stored framing."""
    cache = replace(tiny_cache, held_out=(np.arange(132) % 2 == 0) & tiny_cache.face)
    network = Brightness(tiny_model, cache.params[0])
    calibrate(network, cache, tiny_model, 120)
    extents, middles = [], []
    for crop in network.seen.numpy():
        place = np.argwhere(crop.min(axis=0) > 0.6)  # the landmarks are white
        low, high = place.min(axis=0), place.max(axis=0)
        extents.append((high - low).max() * np.sqrt(2) / 120)
        middles.append((high + low) / 2 - 59.5)
    # noise of 0.06 and 0.035 * 120 = 4.2, the mean of 48; a spot is some px wide
    assert abs(np.mean(np.log(extents))) < 0.06
    assert 0.03 < np.std(np.log(extents)) < 0.09
    assert np.abs(np.mean(middles, axis=0)).max() < 1.9
    assert 2.8 < np.std(middles) < 5.6


def test_is_deterministic(tiny_model: MorphableModel, tiny_cache: FaceCache) -> None:
    network = Brightness(tiny_model, tiny_cache.params[0])
    one, two, other = (
        calibrate(network, tiny_cache, tiny_model, 120, seed).confidence for seed in (0, 0, 1)
    )
    assert one == two != other


def test_equal_scores_give_finite_curve(tiny_model: MorphableModel, tiny_cache: FaceCache) -> None:
    flat = np.broadcast_to(np.uint8(9), tiny_cache.images.shape)
    found = calibrate(
        Brightness(tiny_model, tiny_cache.params[0]),
        replace(tiny_cache, images=flat),
        tiny_model,
        120,
    )
    assert found.confidence.width > 0
    assert found.auc == 0.5, "ties count half"


def test_rejects_cache_without_held_out_faces(
    tiny_model: MorphableModel, tiny_cache: FaceCache
) -> None:
    nobody = replace(tiny_cache, held_out=np.zeros(132, np.bool_))
    with pytest.raises(ConfigError, match="calibrated on held-out faces"):
        calibrate(Brightness(tiny_model, tiny_cache.params[0]), nobody, tiny_model, 120)


def test_auc_counts_pairs() -> None:
    faces, others = np.float32([1, 3]), np.float32([0, 2])
    assert Calibration(Confidence(0, 1), True, faces, others).auc == 0.75


def test_sigma_scale_covers_errors(tiny_model: MorphableModel, tiny_cache: FaceCache) -> None:
    """Labels with errors of 2 px, and a network that predicts a sigma of 0.5 px."""
    rng = np.random.default_rng(0)
    params = tiny_cache.params[:1]

    class Sure(torch.nn.Module):
        def forward(self, image: torch.Tensor) -> Predictions:
            n = len(image)
            answer = torch.from_numpy(params).repeat(n, 1)
            return Predictions(
                answer, torch.zeros(n, 68, 2), landmark_sigma=torch.full((n, 68), 0.5)
            )

    labels = np.repeat(params, 300, axis=0)
    labels[:, [3, 7]] += rng.normal(0, 2.0, (300, 2))  # the translation, px
    crops = np.zeros((300, 120, 120, 3), np.uint8)
    assert sigma_scale(Sure(), crops, labels, tiny_model) == pytest.approx(4.0, rel=0.1)
