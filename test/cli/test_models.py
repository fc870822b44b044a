from __future__ import annotations

from pathlib import Path

import pytest

from tddfa_ros.cli import main
from tddfa_ros.files import sha256_of
from tddfa_ros.model_store.manifest import add_model


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an installation with one local model, the default of the commands under test."""
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "head.npz").write_bytes(b"a head")
    add_model(
        folder / "manifest.yaml",
        "head",
        folder / "head.npz",
        role="morphable",
        license="CC0-1.0",
        input="numbers",
    )
    monkeypatch.setattr("tddfa_ros.model_store.resources.resource_dir", lambda: tmp_path)
    monkeypatch.setattr("tddfa_ros.model_store.store.resource_dir", lambda: tmp_path)
    return folder


def test_list_shows_license_size_and_state(
    models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "list"]) == 0
    line = capsys.readouterr().out
    for word in ("head", "morphable", "CC0-1.0", "this package", str(models / "head.npz")):
        assert word in line
    (models / "head.npz").write_bytes(b"no head")
    main(["models", "list"])
    assert "DAMAGED" in capsys.readouterr().out
    (models / "head.npz").unlink()
    main(["models", "list"])
    assert "missing" in capsys.readouterr().out


def test_verify_and_fetch(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "verify"]) == 0
    assert main(["models", "fetch"]) == 0
    assert str(models / "head.npz") in capsys.readouterr().out
    (models / "head.npz").write_bytes(b"no head")
    assert main(["models", "verify", "head"]) == 2
    assert "SHA-256" in capsys.readouterr().err
    assert main(["models", "verify", "tail"]) == 2
    assert "known are head" in capsys.readouterr().err
    assert main(["models", "fetch", "--from", "x.whl"]) == 2
    assert "exactly one NAME" in capsys.readouterr().err


def test_add_registers_model(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (models / "net.onnx").write_bytes(b"a net")
    arguments = ["models", "add", "net", str(models / "net.onnx"), "--role", "regressor"]
    assert main(arguments) == 2
    assert "incomplete" in capsys.readouterr().err
    assert main([*arguments, "--license", "MIT", "--input", "crops"]) == 0
    assert sha256_of(models / "net.onnx") in capsys.readouterr().out
    assert main(["models", "verify", "net"]) == 0
