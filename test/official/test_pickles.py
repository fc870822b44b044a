from __future__ import annotations

import collections
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tddfa_ros.errors import ModelError
from tddfa_ros.official.pickles import read_pickle


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_and_containers_round_trip(tmp_path: Path, protocol: int) -> None:
    content = {
        "u": np.random.default_rng(0).normal(size=(6, 1)).astype(np.float32),
        "tri": np.asfortranarray(np.arange(12, dtype=np.int32).reshape(3, 4)),
        "more": [1, 2.5, "text", None, True, (b"raw", np.float64(0.25)), {3, 4}],
        "ordered": collections.OrderedDict(a=np.array([True, False]), b=np.zeros((0, 3))),
    }
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    found = read_pickle(path)
    np.testing.assert_array_equal(found["u"], content["u"])
    np.testing.assert_array_equal(found["tri"], content["tri"])
    assert found["u"].dtype == np.float32 and found["tri"].dtype == np.int32
    assert found["more"] == content["more"]
    assert found["ordered"]["a"].tolist() == [True, False]
    assert found["ordered"]["b"].shape == (0, 3)


class Call:
    """Pickles as a call of any function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


def test_code_in_pickles_is_never_executed(tmp_path: Path) -> None:
    witness = tmp_path / "executed"
    attacks = {
        f"{os.system.__module__}.system": Call(os.system, f"touch {witness}"),
        "builtins.eval": Call(eval, f"open({str(witness)!r}, 'w')"),
        "builtins.open": Call(open, str(witness), "w"),
        "builtins.getattr": Call(getattr, "text", "upper"),
        "pathlib": witness,
        "numpy.fromfile": Call(np.fromfile, str(witness)),
    }
    for name, attack in attacks.items():
        for content in (attack, {"u": np.zeros(3), "mean": [attack]}):
            path = tmp_path / "bad.pkl"
            path.write_bytes(pickle.dumps(content, protocol=2))
            with pytest.raises(ModelError, match="is refused") as caught:
                read_pickle(path)
            assert name.split(".")[-1] in str(caught.value) and "\n" not in str(caught.value)
    assert not witness.exists()


def test_attack_works_with_plain_pickle(tmp_path: Path) -> None:
    """Control for the test above."""
    witness = tmp_path / "executed"
    pickle.loads(pickle.dumps(Call(os.system, f"touch {witness}"), protocol=2))
    assert witness.exists()


class Subclass(np.ndarray):
    pass


@pytest.mark.parametrize(
    "content",
    [
        np.array([{}, "object"], dtype=object),
        np.array(["text"]),
        np.zeros(2, dtype=[("a", "f4"), ("b", "O")]),
        np.zeros(2).view(Subclass),
        np.array(["2020-01-01"], dtype="datetime64[D]"),
        np.ma.masked_array([1.0, 2.0]),
        {"deep": [{"er": np.array([None])}]},
    ],
    ids=["objects", "texts", "records", "subclass", "dates", "masked", "nested"],
)
def test_rejects_non_numeric_arrays(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps(content, protocol=2))
    with pytest.raises(ModelError):
        read_pickle(path)


def test_rejects_direct_array_construction(tmp_path: Path) -> None:
    path = tmp_path / "x.pkl"
    path.write_bytes(b"cnumpy\nndarray\n((I4\ntR.")
    with pytest.raises(ModelError):
        read_pickle(path)
    path.write_bytes(b"cnumpy\nndarray\n.")
    with pytest.raises(ModelError, match="only arrays of numbers"):
        read_pickle(path)


def test_rejects_damaged_files(tmp_path: Path) -> None:
    path = tmp_path / "x.pkl"
    whole = pickle.dumps({"mean": np.zeros(62, np.float32)}, protocol=2)
    for content in (b"", b"\x80", whole[:40], whole[:-30], b"not a pickle at all"):
        path.write_bytes(content)
        with pytest.raises(ModelError, match=r"x\.pkl is not a readable pickle, or is truncated"):
            read_pickle(path)
    with pytest.raises(ModelError, match="cannot be read"):
        read_pickle(tmp_path / "none.pkl")
