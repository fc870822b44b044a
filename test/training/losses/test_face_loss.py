from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from support.loss_cases import CASES, case_model, faces, whitening
from support.synthetic_model import synthetic_model

from tddfa_ros.morphable import MorphableModel
from tddfa_ros.training.data.frames import IGNORE

torch = pytest.importorskip("torch", reason="the extra [training] (torch) is not installed")

from tddfa_ros.training.loss_weights import TERMS, LossWeights, weights_at  # noqa: E402
from tddfa_ros.training.losses.distance_costs import Wpdc, vertex_distance_cost  # noqa: E402
from tddfa_ros.training.losses.face_loss import FaceLoss  # noqa: E402
from tddfa_ros.training.losses.terms import (  # noqa: E402
    PosedPoints,
    clip_jitter,
    crop_pixels,
    gap_distance,
    segmentation_loss,
    uv_position_loss,
)
from tddfa_ros.training.networks import Predictions  # noqa: E402

WEIGHTS = LossWeights.only(
    **dict(
        zip(
            TERMS,
            (0.7, 1.3, 0.9, 0.2, 0.5, 0.3, 0.6, 0.01, 0.6, 0.8, 1.1, 0.05, 0.4, 0.15),
            strict=True,
        )
    ),
    depth=0.4,
)
ROBUST = LossWeights.only(
    vertices=0.7, lmk=1.3, direct=0.9, coefficients=0.2, gaps=0.5, lids=0.3, depth=0.4
)
FACE_TERMS = tuple(name for name in TERMS if name != "confidence")
COUNT = 3


def make(model: MorphableModel, weights: LossWeights = WEIGHTS, **options: Any) -> FaceLoss:
    std = torch.from_numpy(whitening(model))
    return FaceLoss(model, std, weights, points=PosedPoints(model, count=12), **options).double()


def everything(model: MorphableModel, seed: int = 1) -> tuple[Predictions, dict[str, Any]]:
    """Predictions of all heads for three crops, and all targets, without ``face``."""
    rng = np.random.default_rng(seed)
    found = Predictions(
        torch.from_numpy(faces(model, 10 * seed, COUNT)),
        torch.from_numpy(rng.uniform(0, 120, (COUNT, 68, 2))),
        torch.from_numpy(rng.normal(size=COUNT)),
        torch.from_numpy(rng.normal(size=(COUNT, 5, 6, 6))),
        torch.from_numpy(rng.uniform(0, 120, (COUNT, 3, 4, 4))),
        torch.from_numpy(rng.uniform(0.5, 3, (COUNT, 68))),
    )
    classes = rng.integers(0, 5, (COUNT, 6, 6))
    classes[:, 0] = IGNORE
    batch = {
        "params": torch.from_numpy(faces(model, 10 * seed + 1, COUNT)),
        "parsing": torch.from_numpy(classes),
        "uv_position": torch.from_numpy(rng.uniform(0, 120, (COUNT, 3, 4, 4))),
        "clip": torch.tensor([4, 4, -1]),
    }
    return found, batch


def row(found: Predictions, index: list[int]) -> Predictions:
    return Predictions(*(p[index] for p in found))


def slow_huber(values: list[float], delta: float = 1.5) -> float:
    total = 0.0
    for value in values:
        size = abs(value)
        total += size**2 / 2 if size <= delta else delta * (size - delta / 2)
    return total / len(values)


def slow_distance(found: np.ndarray, wanted: np.ndarray) -> float:
    flat, depth = [], []
    for face_found, face_wanted in zip(found, wanted, strict=True):
        difference = face_found - face_wanted
        middle = sum(r[2] for r in difference) / len(difference)
        for r in difference:
            flat += [r[0], r[1]]
            depth.append(r[2] - middle)
    return slow_huber(flat) + WEIGHTS.depth * slow_huber(depth)


def gaps(points: np.ndarray) -> list[float]:
    """Image distances between the eyelids and between the lips, by iBUG numbers counted from 1."""
    pairs = [(38, 42), (39, 41), (44, 48), (45, 47), (62, 68), (63, 67), (64, 66)]
    return [float(np.hypot(*(points[i - 1] - points[j - 1])[:2])) for i, j in pairs]


def slow_robust(
    model: MorphableModel, loss: FaceLoss, found: Predictions, wanted: torch.Tensor
) -> dict[str, float]:
    a, b = loss.points(found.params).numpy(), loss.points(wanted).numpy()
    pixel = [
        (
            found.landmarks[n, k, 0].item() - (b[n, k, 0] - 1),
            found.landmarks[n, k, 1].item() - (120 - b[n, k, 1]),
        )
        for n in range(len(b))
        for k in range(68)
    ]
    lids = [12 + 40 + model.expression_names.index(f"eyeBlink{side}") for side in ("Left", "Right")]
    scaled = np.abs((found.params - wanted).numpy() / whitening(model))[:, 12:]
    return {
        "vertices": slow_distance(a[:, 68:], b[:, 68:]),
        "lmk": slow_distance(a[:, :68], b[:, :68]),
        "direct": slow_huber([v for pair in pixel for v in pair]),
        "coefficients": float(np.mean([v for r in scaled for v in r])),
        "gaps": slow_huber(
            [x - y for n in range(len(b)) for x, y in zip(gaps(a[n]), gaps(b[n]), strict=True)],
            delta=0.5,
        ),
        "lids": float(np.mean([scaled[n, k - 12] for n in range(len(b)) for k in lids])),
    }


def slow_clip_jitter(loss: FaceLoss, found: Predictions, wanted: torch.Tensor) -> float:
    """The first two faces are a clip."""
    truth = crop_pixels(loss.points(wanted)[:, :68]).numpy()
    total = 0.0
    for landmarks in (crop_pixels(loss.points(found.params)[:, :68]), found.landmarks):
        error = landmarks.numpy() - truth
        total += slow_huber([v for pair in error[1] - error[0] for v in pair])
    return total


def slow_sigma(loss: FaceLoss, found: Predictions, wanted: torch.Tensor) -> float:
    """Mean of ln s + sqrt(2) d / s, d the mean of the errors in x and y."""
    a, b = (crop_pixels(loss.points(p)[:, :68]).numpy() for p in (found.params, wanted))
    values = [
        math.log(s) + math.sqrt(2) * (abs(p[0] - q[0]) + abs(p[1] - q[1])) / 2 / s
        for faces_ in zip(a, b, found.landmark_sigma.numpy(), strict=True)
        for p, q, s in zip(*faces_, strict=True)
    ]
    return sum(values) / len(values)


# -- values ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES)
def test_robust_terms(case: str) -> None:
    model = case_model(case)
    loss = make(model, ROBUST)
    found, batch = everything(model)
    total, terms = loss(found, batch)
    expected = slow_robust(model, loss, found, batch["params"])
    assert {k: v.item() for k, v in terms.items()} == pytest.approx(expected, rel=1e-6)
    assert total.item() == pytest.approx(
        sum(getattr(ROBUST, name) * value for name, value in expected.items()), rel=1e-6
    )


@pytest.mark.parametrize("progress", [0.0, 0.3, 1.0])
def test_total_is_the_scheduled_sum_of_all_terms(progress: float) -> None:
    model = case_model("tiny 40+52")
    loss = make(model)
    found, batch = everything(model)
    batch["face"] = torch.ones(COUNT)
    total, terms = loss(found, batch, progress)
    std = torch.from_numpy(whitening(model))
    alone = {
        **slow_robust(model, loss, found, batch["params"]),
        "steady": slow_clip_jitter(loss, found, batch["params"]),
        "vdc": vertex_distance_cost(loss.points, found.params, batch["params"]),
        "wpdc": Wpdc.over_mesh(model, std).double()(found.params, batch["params"]),
        "fwpdc": Wpdc.over_points(loss.points, std).double()(found.params, batch["params"]),
        "seg": segmentation_loss(found.parsing, batch["parsing"]),
        "uv": uv_position_loss(found.uv_position, batch["uv_position"]),
        "confidence": np.log1p(np.exp(-found.confidence.numpy())).mean(),
        "sigma": slow_sigma(loss, found, batch["params"]),
    }
    assert tuple(terms) == TERMS
    assert {k: float(v) for k, v in terms.items()} == pytest.approx(
        {k: float(v) for k, v in alone.items()}, rel=1e-6
    )
    share = weights_at(WEIGHTS, progress)
    assert total.item() == pytest.approx(
        sum(share[name] * float(value) for name, value in alone.items()), rel=1e-6
    )
    assert not any(value.requires_grad for value in terms.values())


def test_map_options_reach_their_terms() -> None:
    model = case_model("tiny 40+10")
    found, batch = everything(model)
    classes = torch.tensor([1.0, 2.0, 0.5, 1.0, 4.0], dtype=torch.float64)
    mask = torch.zeros(4, 4)
    mask[1:3] = 1
    _, terms = make(model, class_weights=classes, uv_mask=mask)(found, batch)
    seg = segmentation_loss(found.parsing, batch["parsing"], classes)
    uv = uv_position_loss(found.uv_position, batch["uv_position"], mask)
    assert (terms["seg"].item(), terms["uv"].item()) == pytest.approx((seg.item(), uv.item()))
    _, plain = make(model)(found, batch)
    assert plain["seg"] != terms["seg"] and plain["uv"] != terms["uv"]


@pytest.mark.parametrize("case", CASES)
def test_loss_of_truth_is_zero_for_any_depth_origin(case: str) -> None:
    model = case_model(case)
    loss = make(model)
    _, batch = everything(model, seed=4)
    wanted = batch["params"]
    direct = crop_pixels(loss.points(wanted)[:, :68])
    logits = 80 * torch.nn.functional.one_hot(batch["parsing"].clamp_max(4), 5).permute(0, 3, 1, 2)
    nearer = wanted.clone()
    nearer[:, 11] += 30  # t_z, whose origin is arbitrary
    batch["face"] = torch.ones(COUNT)
    sure = torch.full((COUNT,), 80.0, dtype=torch.float64)
    for params in (wanted, nearer):
        found = Predictions(params, direct, sure, logits.double(), batch["uv_position"])
        assert loss(found, batch)[0].item() == pytest.approx(0, abs=1e-9)
    shifted = wanted.clone()
    shifted[:, 3] += 1
    found = Predictions(shifted, direct)
    _, terms = loss(found, batch)
    assert all(terms[name] > 0 for name in ("vertices", "lmk", "vdc", "wpdc", "fwpdc"))


# -- what counts -----------------------------------------------------------------------------------------------------


def test_terms_of_weight_zero_are_not_computed() -> None:
    model = case_model("tiny 40+10")
    found, batch = everything(model)
    loss = make(model, LossWeights.only(lmk=1.0))
    assert not hasattr(loss, "wpdc") and not hasattr(loss, "fwpdc")
    _, terms = loss(found, batch)
    assert list(terms) == ["lmk"]


def test_no_lids_term_without_blink_coefficients() -> None:
    model = synthetic_model(rows=12, columns=16, expressions=6)
    assert not any("Blink" in name for name in model.expression_names)
    found, batch = everything(model)
    _, terms = make(model)(found, batch)
    assert set(terms) == set(FACE_TERMS) - {"lids"}


def test_closed_lids_have_finite_gradient() -> None:
    shut = torch.zeros(1, 68, 3, dtype=torch.float64, requires_grad=True)
    gap_distance(shut, torch.ones(1, 68, 3, dtype=torch.float64)).backward()
    assert shut.grad is not None and shut.grad.isfinite().all()


@pytest.mark.parametrize(
    ("clip", "pairs"),
    [([5, 5, 6, 6], [(0, 1), (2, 3)]), ([-1, 5, 5, -1], [(1, 2)]), ([-1, -1, -1, -1], [])],
)
def test_clip_jitter_compares_frames_of_one_clip(
    clip: list[int], pairs: list[tuple[int, int]]
) -> None:
    found, wanted = torch.randn(2, 4, 68, 2, dtype=torch.float64)
    error = (found - wanted).numpy()
    expected = slow_huber([v for i, j in pairs for v in (error[j] - error[i]).ravel()] or [0.0])
    assert clip_jitter(found, wanted, torch.tensor(clip)).item() == pytest.approx(expected)


def test_missing_heads_and_targets_are_ignored() -> None:
    model = case_model("tiny 40+10")
    loss = make(model)
    found, batch = everything(model)
    batch["face"] = torch.ones(COUNT)
    plain = Predictions(found.params, found.landmarks)
    assert set(loss(plain, batch)[1]) == set(FACE_TERMS) - {"seg", "uv", "sigma"}
    only_params = {"params": batch["params"]}
    assert set(loss(found, only_params)[1]) == set(FACE_TERMS) - {"seg", "uv", "steady"}


def test_negatives_affect_confidence_only() -> None:
    model = case_model("tiny 40+52")
    loss = make(model)
    found, batch = everything(model)
    batch["face"] = torch.tensor([1.0, 0.0, 1.0])
    batch["params"][1] = torch.nan  # nobody knows them
    found = Predictions(*(p.clone().requires_grad_() for p in found))
    total, terms = loss(found, batch)
    total.backward()
    for name, prediction in found._asdict().items():
        assert prediction.grad.isfinite().all()
        touched = prediction.grad[1].abs().sum() > 0
        assert touched == (name == "confidence"), name
        assert prediction.grad[0].abs().sum() > 0
    faces_only = {k: v[[0, 2]] for k, v in batch.items()}
    _, expected = loss(row(found, [0, 2]), faces_only)
    for name in FACE_TERMS:
        assert terms[name].item() == pytest.approx(expected[name].item(), rel=1e-12)
    assert terms["confidence"] != expected["confidence"]


def test_a_batch_without_faces() -> None:
    model = case_model("tiny 40+52")
    loss = make(model)
    found, batch = everything(model)
    batch["face"] = torch.zeros(COUNT)
    found = Predictions(*(p.clone().requires_grad_() for p in found))
    total, terms = loss(found, batch)
    total.backward()
    assert set(terms) == set(TERMS)
    assert all(terms[name] == 0 for name in FACE_TERMS)
    assert total.item() == pytest.approx(WEIGHTS.confidence * terms["confidence"].item())
    assert (found.confidence.grad != 0).all()
    for prediction in (found.params, found.landmarks, found.parsing, found.uv_position):
        assert (prediction.grad == 0).all()


def test_all_heads_get_gradients() -> None:
    """DDP waits for the gradient of every parameter, also where a batch has no target for its head."""
    model = case_model("tiny 40+10")
    found, batch = everything(model)
    found = Predictions(*(p.clone().requires_grad_() for p in found))
    total, _ = make(model, LossWeights.only(vdc=1.0))(found, {"params": batch["params"]})
    total.backward()
    assert all(prediction.grad is not None for prediction in found)
    assert (found.landmarks.grad == 0).all()


def test_loss_is_computed_in_float32() -> None:
    model = case_model("tiny 40+10")
    loss = make(model, ROBUST).float()
    found, batch = everything(model)
    batch = {"params": batch["params"].float()}
    params = found.params.float()
    # values rounded to bfloat16, as of a head under autocast
    half = Predictions(params, found.landmarks.half())
    exact = Predictions(params, found.landmarks.half().float())
    expected = loss(exact, batch)[0]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        total, _ = loss(half, batch)
    assert total.dtype == torch.float32
    assert total.item() == expected.item()


# -- gradients -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES)
def test_gradients(case: str) -> None:
    model = case_model(case)
    # all terms but WPDC, whose weights are constants by definition: test_wpdc.py
    loss = make(model, LossWeights.only(vertices=0.7, lmk=1.3, direct=0.9, coefficients=0.2, gaps=0.5, lids=0.3, steady=0.2, vdc=0.1, seg=1, uv=0.1, confidence=1))  # fmt: skip
    found, batch = everything(model, seed=6)
    batch["face"] = torch.tensor([1.0, 0.0, 1.0])
    inputs = tuple(p.clone().requires_grad_() for p in found)
    assert torch.autograd.gradcheck(
        lambda *p: loss(Predictions(*p), batch, 0.5)[0], inputs, fast_mode=True
    )
