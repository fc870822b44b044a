"""Expression transfer on parameters."""

from __future__ import annotations

import numpy as np
import pytest
from support.synthetic_model import frontal_params, synthetic_model

from tddfa_ros.editing import matched_params, neutral_params, transfer_expression
from tddfa_ros.errors import ConfigError, ModelError
from tddfa_ros.face import Face
from tddfa_ros.morphable import MorphableModel

ROI = np.array([10.0, 20.0, 130.0, 140.0])


def face(model: MorphableModel, shape: float, **expression: float) -> Face:
    params = frontal_params(model)
    params[model.layout.shape_slice] = shape
    for name, value in expression.items():
        params[model.layout.expression_slice.start + model.expression_names.index(name)] = value
    return Face(ROI, 1.0, params, ROI, model)


@pytest.fixture(scope="module")
def model() -> MorphableModel:
    return synthetic_model()


def values(model: MorphableModel, params: np.ndarray) -> dict[str, float]:
    found = params[model.layout.expression_slice]
    return {n: round(float(v), 4) for n, v in zip(model.expression_names, found, strict=True) if v}


def test_transfers_only_the_expression(model: MorphableModel) -> None:
    target = face(model, 0.3, browInnerUp=0.4)
    source = face(model, -0.7, jawOpen=0.8, mouthSmileLeft=0.2)
    got = transfer_expression(source, target)
    start = model.layout.expression_slice.start
    assert np.array_equal(got[:start], target.params[:start])
    assert values(model, got) == {"jawOpen": 0.8, "mouthSmileLeft": 0.2}
    assert np.array_equal(got, transfer_expression(source.params, target))


def test_strength_interpolates_and_extrapolates(model: MorphableModel) -> None:
    target, source = face(model, 0, jawOpen=0.2), face(model, 0, jawOpen=0.6)
    for strength, jaw in ((0, 0.2), (0.5, 0.4), (1, 0.6), (2, 1.0), (5, 1.2)):
        assert values(model, transfer_expression(source, target, strength))["jawOpen"] == jaw


def test_relative_transfer_keeps_target_expression(model: MorphableModel) -> None:
    target = face(model, 0, mouthSmileLeft=0.3)
    rest = face(model, 0, mouthSmileLeft=0.5, eyeWideLeft=0.4)
    source = face(model, 0, mouthSmileLeft=0.5, jawOpen=0.7)
    got = values(model, transfer_expression(source, target, neutral=rest))
    assert got == {"mouthSmileLeft": 0.3, "jawOpen": 0.7}


def test_transfer_is_limited_to_regions(model: MorphableModel) -> None:
    target = face(model, 0, eyeBlinkLeft=0.9)
    source = face(model, 0, browInnerUp=1, jawOpen=0.5, mouthPucker=0.4)
    got = values(model, transfer_expression(source, target, regions=("mouth", "jaw")))
    assert got == {"eyeBlinkLeft": 0.9, "jawOpen": 0.5, "mouthPucker": 0.4}


def test_transfer_between_models_by_expression_name(model: MorphableModel) -> None:
    fewer = synthetic_model(expressions=10)
    source = face(fewer, 0, browInnerUp=0.6)
    target = face(model, 0, jawOpen=0.5, browDownLeft=0.2)
    got = values(model, transfer_expression(source, target))
    assert got == {"browInnerUp": 0.6, "jawOpen": 0.5}


def test_rejects_bad_input(model: MorphableModel) -> None:
    target = face(model, 0)
    with pytest.raises(ConfigError, match="strength"):
        transfer_expression(target, target, -1)
    with pytest.raises(ConfigError, match="unknown region hair"):
        transfer_expression(target, target, regions=("hair",))
    with pytest.raises(ModelError, match="takes 104"):
        transfer_expression(np.zeros(62, np.float32), target)


@pytest.mark.parametrize(("blink", "got"), [(0.35, 0.3), (0.25, 0.3), (0.8, 0.8), (0.0, 0.0)])
def test_lids_follow_blinks_but_not_noise(model: MorphableModel, blink: float, got: float) -> None:
    target, source = face(model, 0, eyeBlinkLeft=0.3), face(model, 0, eyeBlinkLeft=blink)
    found = values(model, transfer_expression(source, target))
    assert found.get("eyeBlinkLeft", 0.0) == pytest.approx(got)


def test_neutral_is_that_of_the_least_active_frames(model: MorphableModel) -> None:
    """Most frames smile, the first one too; some of those at rest blink."""
    rest = {"mouthFrownLeft": 0.3, "browDownLeft": 0.2}
    frames = [face(model, 0, **rest, mouthSmileLeft=0.9, jawOpen=0.5).params] * 12
    frames += [face(model, 0, **rest, eyeBlinkLeft=0.9 * (i == 3)).params for i in range(8)]
    got = values(model, neutral_params(frames, model))
    assert got == {"mouthFrownLeft": 0.3, "browDownLeft": 0.2}


def test_neutral_needs_frames_of_the_model(model: MorphableModel) -> None:
    for frames in ([], [np.zeros(62, np.float32)]):
        with pytest.raises(ModelError, match="takes parameters of shape"):
            neutral_params(frames, model)


@pytest.mark.parametrize("shrinkage", [0.5, 0.7])
def test_matching_compensates_a_network_that_underestimates(
    model: MorphableModel, shrinkage: float
) -> None:
    target = face(model, 0)
    params = transfer_expression(face(model, 0, mouthSmileLeft=0.3, browInnerUp=0.3), target)

    def measure(image: np.ndarray) -> np.ndarray:
        return np.asarray(shrinkage * image, np.float32)

    got = matched_params(lambda drawn: drawn, target, params, measure, rounds=3)  # type: ignore[arg-type, return-value]
    part = model.layout.expression_slice
    before, after = (np.abs(measure(p) - params)[part].sum() for p in (params, got))
    assert after < 0.4 * before
    assert set(values(model, got)) == {"mouthSmileLeft", "browInnerUp"}


def test_matching_keeps_what_measures_best(model: MorphableModel) -> None:
    target = face(model, 0)
    params = transfer_expression(face(model, 0, browInnerUp=0.3), target)
    unchanging = np.zeros_like(params)
    got = matched_params(lambda drawn: drawn, target, params, lambda _: unchanging)  # type: ignore[arg-type, return-value]
    assert np.array_equal(got, params)


def test_matching_leaves_an_open_mouth(model: MorphableModel) -> None:
    target = face(model, 0)

    def matched(**expression: float) -> dict[str, float]:
        params = transfer_expression(face(model, 0, **expression), target)
        got = matched_params(lambda p: p, target, params, lambda p: 0.5 * p)  # type: ignore[arg-type, return-value]
        return values(model, got)

    open_mouth = {"jawOpen": 0.4, "mouthSmileLeft": 0.3}
    got = matched(**open_mouth, browInnerUp=0.3)
    assert got["browInnerUp"] > 0.4
    assert {name: got[name] for name in open_mouth} == pytest.approx(open_mouth)
    assert matched(mouthSmileLeft=0.3)["mouthSmileLeft"] > 0.4
