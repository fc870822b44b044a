from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tddfa_ros.errors import ImageError
from tddfa_ros.types import HeadPose, Intrinsics, check_image

ARRAYS = ("Array", "Image", "ndarray", "Tensor")


def values() -> list[object]:
    still = HeadPose(np.eye(3), np.zeros(3), np.eye(6), 0.0)
    return [Intrinsics.from_fov(640, 480), still]


@pytest.mark.parametrize("index", [0, 1])
def test_array_dataclasses_compare_by_identity_and_hash(index: int) -> None:
    one, same = values()[index], values()[index]
    assert one == one
    assert one != same
    assert one in [same, one]
    assert len({one, same}) == 2


def _holds_arrays(node: ast.ClassDef) -> bool:
    annotations = [ast.unparse(f.annotation) for f in node.body if isinstance(f, ast.AnnAssign)]
    return any(word in annotation for word in ARRAYS for annotation in annotations)


def test_no_dataclass_compares_arrays(repo_root: Path) -> None:
    """The generated ``==`` of a dataclass raises ValueError if a field is an array."""
    checked, wrong = 0, []
    for path in (repo_root / "tddfa_ros").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and _holds_arrays(node):
                decorators = [ast.unparse(d) for d in node.decorator_list]
                made = [d for d in decorators if d.startswith(("dataclass", "dataclasses."))]
                checked += len(made)
                wrong += [f"{path.name}: {node.name}" for d in made if "eq=False" not in d]
    assert checked > 10
    assert wrong == []


def test_check_image_accepts_views() -> None:
    check_image(np.zeros((8, 6, 3), np.uint8)[::2, ::-1])


@pytest.mark.parametrize(
    ("image", "got"),
    [
        ([[0, 0, 0]], "not a list"),
        (None, "not a NoneType"),
        (np.zeros((4, 4), np.uint8), r"not one of shape \(4, 4\) and type uint8"),
        (np.zeros((4, 4, 4), np.uint8), r"not one of shape \(4, 4, 4\)"),
        (np.zeros((4, 4, 3), np.float32), "and type float32"),
        (np.zeros((0, 4, 3), np.uint8), r"not one of shape \(0, 4, 3\)"),
    ],
)
def test_check_image_rejects_other_arrays(image: Any, got: str) -> None:
    with pytest.raises(ImageError, match=f"^the texture must be a non-empty BGR array.*{got}"):
        check_image(image, "the texture")
