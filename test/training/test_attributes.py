"""Training for attributes: the loss against numbers by hand, and a whole run on pictures whose colours tell the labels."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra [training] is not installed")
pytest.importorskip("onnx", reason="the extra [training] is not installed")

import torch

from tddfa_ros.attributes import AttributeEstimator
from tddfa_ros.cli import main
from tddfa_ros.errors import ConfigError
from tddfa_ros.training.attribute_report import calibration_error, find_temperatures, measure
from tddfa_ros.training.attribute_run import run
from tddfa_ros.training.attributes import (
    AttributeConfig,
    AttributeLogits,
    AttributeNet,
    attribute_loss,
)
from tddfa_ros.training.data.labelled import LabelledFaces, labelled_faces

SMALL = AttributeConfig(
    width=0.25, size=64, fixed_layers=0, views=1, epochs=12, batch=16, learning_rate=5e-3
)


def coloured(folder: Path, n: int = 160) -> LabelledFaces:
    """Pictures that are blue where labelled female and red where male, and the brighter the older."""
    rng = np.random.default_rng(0)
    feminine, age = rng.integers(0, 2, n), rng.integers(0, 2, n) * 60 + 10
    names = []
    for i in range(n):
        picture = rng.integers(0, 30, (70, 70, 3))
        picture[..., 0 if feminine[i] else 2] += 70 + age[i] * 2
        names.append(str(folder / f"{i}.png"))
        cv2.imwrite(names[-1], picture.clip(0, 255).astype(np.uint8))
    return labelled_faces(
        names,
        roi=np.tile(np.array([3, 3, 67, 67], np.float32), (n, 1)),
        age=age.astype(np.float32),
        feminine=feminine.astype(np.float32),
    )


def test_a_run_learns_and_its_file_answers(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    faces = coloured(tmp_path)
    output = tmp_path / "attributes.onnx"
    table = run(faces, SMALL, tmp_path / "work", output)
    assert table.splitlines()[2].startswith("| all | ")
    assert (tmp_path / "work" / "report.md").read_text().strip() == table
    estimator = AttributeEstimator(output, device="cpu")
    crops = np.stack([cv2.imread(str(p))[3:67, 3:67] for p in faces.pictures])
    found = estimator.estimate_crops(crops)
    assert ((found["feminine"] > 0.5) == (faces.feminine > 0.5)).mean() > 0.9
    old = faces.age > 40
    age = found["age"] @ np.arange(101)
    assert age[old].mean() - age[~old].mean() > 20
    assert "smiling" not in found


def test_loss_by_hand() -> None:
    config = AttributeConfig(age_sigma=0.1, expectation=0.5)
    faces = labelled_faces(
        ["a", "b"],
        age=np.array([50, np.nan], np.float32),
        feminine=np.array([np.nan, 1], np.float32),
    )
    logits = AttributeLogits(torch.zeros(2, 101), torch.tensor([9.0, 2.0]), torch.zeros(2))
    found = attribute_loss(logits, faces, torch.ones(2), config)
    # the even distribution expects 50, so only its entropy counts; smiling is not known
    assert found.item() == pytest.approx(math.log(101) + math.log(1 + math.exp(-2)), abs=1e-3)


def test_fixed_layers_do_not_change_the_function() -> None:
    torch.manual_seed(0)
    whole, cut = AttributeNet(0.25, 0).eval(), AttributeNet(0.25, 11).eval()
    weights = list(whole.state_dict().values())
    cut.load_state_dict(dict(zip(cut.state_dict(), weights, strict=True)))
    image = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        for mine, theirs in zip(whole(image), cut(image), strict=True):
            torch.testing.assert_close(mine, theirs)
    with pytest.raises(ValueError, match="fixed_layers must be 0 to 22"):
        AttributeNet(0.25, 23)


def test_calibration() -> None:
    probability = np.array([0.9] * 10 + [0.1] * 10)
    truth = np.array([True] * 8 + [False] * 2 + [False] * 6 + [True] * 4)
    # 20 answers of confidence 0.9, 14 right
    assert calibration_error(probability, truth) == pytest.approx(0.2)
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, 4000).astype(np.float32)
    labels = (rng.random(4000) < 1 / (1 + np.exp(-logits))).astype(np.float32)
    faces = labelled_faces(["x"] * 4000, feminine=labels)
    over_confident = {"feminine": 2 * logits, "age": np.zeros((4000, 101)), "smiling": logits}
    assert find_temperatures(over_confident, faces) == {"feminine": pytest.approx(2, rel=0.15)}


def test_measures_by_hand() -> None:
    age = np.zeros((2, 101))
    age[0, 30], age[1, [20, 60]] = 1, 0.5
    faces = labelled_faces(
        ["a", "b"], age=np.array([33, 30], np.float32), feminine=np.array([1, 0], np.float32)
    )
    found = measure(age, np.array([0.9, 0.6]), faces)
    assert found["age_mae"] == pytest.approx((3 + 10) / 2)
    assert found["age_bias"] == pytest.approx((-3 + 10) / 2)
    assert found["age_in_80"] == 0.5
    assert found["gender_accuracy"] == 0.5


def test_too_few_faces_and_labels(tmp_path: Path) -> None:
    few = labelled_faces(["a"], roi=np.zeros((1, 4), np.float32))
    with pytest.raises(ConfigError, match="too few faces"):
        run(few, SMALL, tmp_path / "work", tmp_path / "x.onnx")
    faces = coloured(tmp_path)
    unlabelled = labelled_faces(list(faces.pictures), roi=faces.roi, feminine=faces.feminine)
    with pytest.raises(ConfigError, match="no labels of age"):
        run(unlabelled, SMALL, tmp_path / "work", tmp_path / "x.onnx")


def test_the_command_wants_faces(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["train-attributes", "--work", str(tmp_path), "-o", str(tmp_path / "x.onnx")]
    assert main(arguments) == 2
    assert "give at least one of --utkface, --celeba and --faces" in capsys.readouterr().err
