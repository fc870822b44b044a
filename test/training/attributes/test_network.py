"""Attribute training: the loss against manual values, and a complete run on images whose colors encode the labels."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra [training] is not installed")
pytest.importorskip("onnx", reason="the extra [training] is not installed")

import torch

from tddfa_ros.attributes import AttributeEstimator
from tddfa_ros.cli import main
from tddfa_ros.errors import ConfigError
from tddfa_ros.training.attributes import feature_maps
from tddfa_ros.training.attributes import fit as fitting
from tddfa_ros.training.attributes.fit import attribute_loss
from tddfa_ros.training.attributes.labeled import LabeledFaces, labeled_faces
from tddfa_ros.training.attributes.network import (
    AttributeConfig,
    AttributeLogits,
    AttributeNet,
    width_of,
)
from tddfa_ros.training.attributes.report import (
    calibration_error,
    find_temperatures,
    measure,
)
from tddfa_ros.training.attributes.run import run

SMALL = AttributeConfig(
    width=0.25, size=64, fixed_layers=0, views=1, epochs=12, batch=16, learning_rate=5e-3
)


def colored(folder: Path, n: int = 160) -> LabeledFaces:
    """Images that are blue where labeled female and red where male, with brightness increasing with age."""
    rng = np.random.default_rng(0)
    feminine, age = rng.integers(0, 2, n), rng.integers(0, 2, n) * 60 + 10
    names = []
    for i in range(n):
        image = rng.integers(0, 30, (70, 70, 3))
        image[..., 0 if feminine[i] else 2] += 70 + age[i] * 2
        names.append(str(folder / f"{i}.png"))
        cv2.imwrite(names[-1], image.clip(0, 255).astype(np.uint8))
    return labeled_faces(
        names,
        roi=np.tile(np.array([3, 3, 67, 67], np.float32), (n, 1)),
        age=age.astype(np.float32),
        feminine=feminine.astype(np.float32),
    )


def test_run_learns_and_exports(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    faces = colored(tmp_path)
    output = tmp_path / "attributes.onnx"
    table = run(faces, SMALL, tmp_path / "work", output)
    assert table.splitlines()[2].startswith("| all | ")
    assert (tmp_path / "work" / "report.md").read_text().strip() == table
    estimator = AttributeEstimator(output, device="cpu")
    crops = np.stack([cv2.imread(str(p))[3:67, 3:67] for p in faces.paths])
    found = estimator.estimate_crops(crops)
    assert ((found["feminine"] > 0.5) == (faces.feminine > 0.5)).mean() > 0.9
    old = faces.age > 40
    age = found["age"] @ np.arange(101)
    assert age[old].mean() - age[~old].mean() > 20
    assert "smiling" not in found


@pytest.fixture
def cut_off(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Training is interrupted after its second epoch."""
    save = fitting._Run.save

    def save_and_stop(self: Any, path: Path, epochs: int) -> None:
        save(self, path, epochs)
        if epochs == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(fitting._Run, "save", save_and_stop)
        yield


BRIEF = replace(SMALL, epochs=4, fixed_layers=3)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return dict(torch.load(folder / "network.pt", weights_only=True))


def test_interrupted_run_resumes_exactly(
    tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.set_num_threads(1)
    faces = colored(tmp_path, 96)
    run(faces, BRIEF, tmp_path / "whole", tmp_path / "whole.onnx")
    work, out = tmp_path / "work", tmp_path / "out.onnx"
    request.getfixturevalue("cut_off")
    with pytest.raises(KeyboardInterrupt):
        run(faces, BRIEF, work, out)
    assert not out.exists()
    monkeypatch.undo()
    looked: list[Path] = []
    stem_maps = feature_maps.stem_maps
    monkeypatch.setattr(feature_maps, "stem_maps", lambda *a: looked.append(a[-1]) or stem_maps(*a))
    run(faces, BRIEF, work, out)
    assert not looked, "complete feature maps are reused"
    expected, found = weights(tmp_path / "whole"), weights(work)
    assert expected.keys() == found.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=0)
    assert sorted(p.name for p in work.iterdir()) == ["network.pt", "report.md"]


def test_rejects_checkpoint_of_another_run(tmp_path: Path, cut_off: None) -> None:
    faces = colored(tmp_path, 96)
    work, out = tmp_path / "work", tmp_path / "out.onnx"
    with pytest.raises(KeyboardInterrupt):
        run(faces, BRIEF, work, out)
    for other in (replace(BRIEF, learning_rate=1e-3), replace(BRIEF, epochs=5)):
        with pytest.raises(ConfigError, match="or use another folder"):
            run(faces, other, work, out)
    with pytest.raises(ConfigError, match="started with data"):
        run(faces.take(np.arange(95)), BRIEF, work, out)


def test_width_of_checkpoint(tmp_path: Path) -> None:
    narrow = tmp_path / "narrow.pt"
    layers = AttributeNet(0.25, 0)
    whole = torch.nn.Sequential(*layers.stem, *layers.fine, *layers.coarse).state_dict()
    network = {f"backbone.layers.{name}": tensor for name, tensor in whole.items()}
    torch.save({"config": {"width": 0.25}, "network": network}, narrow)
    assert width_of(narrow) == 0.25
    AttributeNet(0.25, 3).start_from(narrow)
    with pytest.raises(ConfigError, match="another backbone"):
        AttributeNet(0.5, 3).start_from(narrow)


def test_attribute_loss_matches_manual_values() -> None:
    config = AttributeConfig(age_sigma=0.1, expectation=0.5)
    faces = labeled_faces(
        ["a", "b"],
        age=np.array([50, np.nan], np.float32),
        feminine=np.array([np.nan, 1], np.float32),
    )
    logits = AttributeLogits(torch.zeros(2, 101), torch.tensor([9.0, 2.0]), torch.zeros(2))
    found = attribute_loss(logits, faces, torch.ones(2), config)
    # the even distribution expects 50, so only its entropy counts; smiling is not known
    assert found.item() == pytest.approx(math.log(101) + math.log(1 + math.exp(-2)), abs=1e-3)


def test_frozen_layers_preserve_the_function() -> None:
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
    faces = labeled_faces(["x"] * 4000, feminine=labels)
    over_confident = {"feminine": 2 * logits, "age": np.zeros((4000, 101)), "smiling": logits}
    assert find_temperatures(over_confident, faces) == {"feminine": pytest.approx(2, rel=0.15)}


def test_measures_match_manual_values() -> None:
    age = np.zeros((2, 101))
    age[0, 30], age[1, [20, 60]] = 1, 0.5
    faces = labeled_faces(
        ["a", "b"], age=np.array([33, 30], np.float32), feminine=np.array([1, 0], np.float32)
    )
    found = measure(age, np.array([0.9, 0.6]), faces)
    assert found["age_mae"] == pytest.approx((3 + 10) / 2)
    assert found["age_bias"] == pytest.approx((-3 + 10) / 2)
    assert found["age_in_80"] == 0.5
    assert found["gender_accuracy"] == 0.5


def test_rejects_too_few_faces_or_labels(tmp_path: Path) -> None:
    few = labeled_faces(["a"], roi=np.zeros((1, 4), np.float32))
    with pytest.raises(ConfigError, match="too few faces"):
        run(few, SMALL, tmp_path / "work", tmp_path / "x.onnx")
    faces = colored(tmp_path)
    unlabeled = labeled_faces(list(faces.paths), roi=faces.roi, feminine=faces.feminine)
    with pytest.raises(ConfigError, match="no labels of age"):
        run(unlabeled, SMALL, tmp_path / "work", tmp_path / "x.onnx")


def test_command_needs_a_data_source(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["train-attributes", "--work", str(tmp_path), "-o", str(tmp_path / "x.onnx")]
    assert main(arguments) == 2
    assert "give at least one of --utkface, --celeba and --faces" in capsys.readouterr().err
