from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest
from support.synthetic_model import synthetic_model
from support.tiny_regressor import write_tiny_regressor

from tddfa_ros.runtime.iobinding import BoundSession, can_hold_inputs

NAMES = ["params", "landmarks"]


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> ort.InferenceSession:
    path = tmp_path_factory.mktemp("net") / "net.onnx"
    write_tiny_regressor(path, synthetic_model(shape=4, expressions=6))
    return ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def crops(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (count, 3, 120, 120)).astype(np.float32)


@pytest.mark.parametrize("outputs", [None, NAMES, ["landmarks"]])
def test_outputs_match_plain_session(session, outputs) -> None:
    bound = BoundSession(session, "cpu")
    for seed, count in enumerate((1, 3, 3, 1)):
        x = crops(count, seed)
        found = bound.run({"image": x}, outputs, None)
        for mine, theirs in zip(found, session.run(outputs, {"image": x}), strict=True):
            np.testing.assert_array_equal(mine, theirs)


def test_inputs_and_earlier_outputs_are_not_overwritten(session) -> None:
    bound = BoundSession(session, "cpu")
    first, second = crops(2, 1), crops(2, 2)
    kept = first.copy()
    answer = bound.run({"image": first}, NAMES, None)
    copies = [values.copy() for values in answer]
    bound.run({"image": second}, NAMES, None)
    np.testing.assert_array_equal(first, kept)
    for values, copy in zip(answer, copies, strict=True):
        np.testing.assert_array_equal(values, copy)


def test_accepts_non_contiguous_views(session) -> None:
    x = crops(4, 3)[::2, :, ::-1]
    (mine,) = BoundSession(session, "cpu").run({"image": x}, ["params"], None)
    (theirs,) = session.run(["params"], {"image": np.ascontiguousarray(x)})
    np.testing.assert_array_equal(mine, theirs)


def test_rejects_invalid_inputs(session) -> None:
    bound = BoundSession(session, "cpu")
    for feeds in ({}, {"other": crops(1, 0)}):
        with pytest.raises(ValueError, match="the inputs are"):
            bound.run(feeds, None, None)


def test_rejects_memory_of_missing_device() -> None:
    assert can_hold_inputs("cpu")
    assert not can_hold_inputs("nowhere")
