from __future__ import annotations

from pathlib import Path

import pytest
from support.synthetic_model import synthetic_model
from support.tiny_training import tiny, write_cache

from tddfa_ros.cli import main
from tddfa_ros.morphable import MorphableModel

pytest.importorskip("torch", reason="the extra [training] (torch) is not installed")
pytest.importorskip("onnx")

from support.tiny_networks import textures

from tddfa_ros.regression.regressor import Regressor
from tddfa_ros.training.cache import open_cache
from tddfa_ros.training.trainer import Trainer


@pytest.fixture(scope="module")
def model() -> MorphableModel:
    return synthetic_model(shape=4, expressions=6)


@pytest.fixture(scope="module")
def folder(model: MorphableModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with model.npz, a cache, and runs with all heads and with none."""
    folder = tmp_path_factory.mktemp("runs")
    model.save(folder / "model.npz")
    write_cache(folder / "cache", model, 24, negatives=24)
    cache = open_cache(folder / "cache", model)
    short = {"epochs": 1, "samples": 16, "uv_position": True, "parsing": True}
    Trainer(tiny(**short), cache, model, folder / "run").run()
    plain = tiny(epochs=1, samples=16, confidence=False)
    Trainer(plain, cache, model, folder / "plain").run()
    return folder


def export(folder: Path, run: str, *more: str) -> int:
    arguments = ["export", "--checkpoint", str(folder / run / "checkpoint.pt")]
    arguments += ["--morphable-model", str(folder / "model.npz"), "-o", str(folder / "net.onnx")]
    return main([*arguments, "--overwrite", *more])


def test_calibrates_and_exports_confidence_head(
    folder: Path, model: MorphableModel, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(folder, "run", "--cache", str(folder / "cache"), "--half") == 0
    out = capsys.readouterr().out
    assert "confidence: AUC " in out and "net.onnx: " in out
    regressor = Regressor(folder / "net.onnx", model)
    assert regressor.session.output_names == ("params", "landmarks", "confidence", "landmark_sigma")
    faces = textures(3, 96)
    assert ((regressor(faces).confidence > 0) & (regressor(faces).confidence < 1)).all()


def test_exports_optional_heads(folder: Path, model: MorphableModel) -> None:
    more = ["--head", "uv_position", "--head", "parsing"]
    assert export(folder, "run", "--cache", str(folder / "cache"), *more) == 0
    names = Regressor(folder / "net.onnx", model).session.output_names
    assert names == (
        *("params", "landmarks", "confidence", "landmark_sigma"),
        *("parsing", "uv_position"),
    )


def test_exports_without_confidence_head(
    folder: Path, model: MorphableModel, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(folder, "plain", "--cache", str(folder / "cache")) == 0
    assert (
        "agreement of both sets of landmarks (the network has no confidence head)"
        in capsys.readouterr().out
    )
    assert Regressor(folder / "net.onnx", model).metadata.agreement is not None


def test_rejects_invalid_input_in_one_sentence(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "image").mkdir()
    (folder / "image" / "checkpoint.pt").write_bytes(b"\x89PNG\r\n\x1a\n" * 50)
    for arguments, message in (
        (["run"], f"{folder / 'run' / 'cache'} holds no training cache"),
        (["nowhere", "--cache", str(folder / "cache")], "checkpoint.pt does not exist"),
        (["image", "--cache", str(folder / "cache")], "is not a readable checkpoint"),
        (["plain", "--cache", str(folder / "cache"), "--head", "parsing"], "no head 'parsing'"),
        (["run", "--cache", str(folder / "cache"), "--head", "depth"], "depth"),
    ):
        assert export(folder, *arguments) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ") and error.count("\n") == 1
        assert message in error


def test_adds_map_heads_to_an_exported_network(
    folder: Path, model: MorphableModel, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(folder, "run", "--cache", str(folder / "cache")) == 0
    base = folder / "net.onnx"
    base = base.rename(folder / "base.onnx")
    heads = ("--head", "uv_position", "--head", "parsing", "--half")
    assert export(folder, "run", "--onto", str(base), *heads) == 0
    names = Regressor(folder / "net.onnx", model).session.output_names
    assert names == (*Regressor(base, model).session.output_names, "parsing", "uv_position")
    capsys.readouterr()
    assert export(folder, "run", "--onto", str(base)) == 2
    assert "--onto needs --head" in capsys.readouterr().err
    assert export(folder, "run", "--onto", "nothing", *heads) == 2
    assert "--onto nothing is neither a file nor a network" in capsys.readouterr().err
