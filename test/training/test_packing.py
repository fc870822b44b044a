"""Packed training caches, and the script that trains from one."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.synthetic_model import synthetic_model
from support.tiny_training import write_cache

from tddfa_ros.cli import main
from tddfa_ros.errors import ConfigError
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.training.cache import CACHE_SIDE, FaceCache, open_cache
from tddfa_ros.training.packing import pack_cache, unpack_cache


@pytest.fixture(scope="module")
def cache(tiny_model: MorphableModel, tmp_path_factory: pytest.TempPathFactory) -> FaceCache:
    """96 faces and 36 negatives, with smooth images."""
    folder = tmp_path_factory.mktemp("cache")
    write_cache(folder, tiny_model, 96, negatives=36)
    images = np.load(folder / "images.npy")
    rng = np.random.default_rng(0)
    for image in images:
        coarse = rng.uniform(0, 255, (16, 16, 3)).astype(np.float32)
        image[:] = cv2.resize(coarse, (CACHE_SIDE, CACHE_SIDE)).clip(0, 255)
    np.save(folder / "images.npy", images)
    return open_cache(folder, tiny_model)


def test_unpacked_cache_matches(
    tiny_model: MorphableModel, cache: FaceCache, tmp_path: Path
) -> None:
    path = tmp_path / "packed.npz"
    # held-out rows, 11 of 132, must fit into 5 % of the file
    count = pack_cache(cache, tiny_model, path, max_bytes=1_500_000, side=160, quality=90)
    assert count == len(cache)
    assert path.stat().st_size < 0.05 * cache.images.nbytes
    found = unpack_cache(path, tiny_model, tmp_path / "out")
    assert found.held_out.sum() == cache.held_out.sum()
    order = [int(np.abs(cache.params - row).sum(axis=1).argmin()) for row in found.params]
    faces = found.face
    rows = np.array(order)[faces]
    assert sorted(rows.tolist()) == np.flatnonzero(cache.face).tolist()
    for name in ("yaw_deg", "source", "error", "weight", "held_out"):
        np.testing.assert_array_equal(getattr(found, name)[faces], getattr(cache, name)[rows])
    np.testing.assert_array_equal(found.params[faces, :12], cache.params[rows, :12])
    np.testing.assert_allclose(found.params[faces, 12:], cache.params[rows, 12:], atol=2e-3)
    difference = found.images[faces].astype(float) - cache.images[rows]
    assert np.sqrt((difference**2).mean()) < 4, "gray levels"


def test_size_limit_selects_rows_by_weight(
    tiny_model: MorphableModel, cache: FaceCache, tmp_path: Path
) -> None:
    weight = np.where(np.arange(len(cache)) % 2 == 0, 50.0, 0.1).astype(np.float32)
    weight[:3] = 0
    weighted = replace(cache, weight=weight)
    path = tmp_path / "packed.npz"
    limit = 140_000
    count = pack_cache(weighted, tiny_model, path, max_bytes=limit, side=64)
    assert 10 < count < len(cache) * 0.75
    assert path.stat().st_size <= limit
    found = unpack_cache(path, tiny_model, tmp_path / "out")
    assert len(found) == count and found.images.shape == (count, CACHE_SIDE, CACHE_SIDE, 3)
    assert (found.weight > 1).mean() > 0.7
    assert (found.weight > 0).all()
    assert 0 < found.held_out.sum() < 0.3 * count


def test_rejects_invalid_options(
    tiny_model: MorphableModel, cache: FaceCache, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="side must be 32 to 192"):
        pack_cache(cache, tiny_model, tmp_path / "x.npz", side=20)
    with pytest.raises(ConfigError, match="not one crop fits into 66000 bytes"):
        pack_cache(cache, tiny_model, tmp_path / "x.npz", max_bytes=66_000, side=192, quality=100)
    assert not (tmp_path / "x.npz").exists()


def test_rejects_other_files_and_models(
    tiny_model: MorphableModel, cache: FaceCache, tmp_path: Path
) -> None:
    path = tmp_path / "packed.npz"
    pack_cache(cache, tiny_model, path, max_bytes=300_000, side=64)
    with pytest.raises(ConfigError, match=f"made with model {tiny_model.topology_id}"):
        unpack_cache(path, synthetic_model(shape=4, expressions=6, seed=1), tmp_path / "out")
    np.savez(tmp_path / "other.npz", params=np.ones(3))
    (tmp_path / "text.npz").write_text("hello")
    truncated = tmp_path / "truncated.npz"
    truncated.write_bytes(path.read_bytes()[:-2000])
    for other in (tmp_path / "other.npz", tmp_path / "text.npz", truncated):
        with pytest.raises(ConfigError, match="is not a packed training cache"):
            unpack_cache(other, tiny_model, tmp_path / "out")


def test_commands(
    tiny_model: MorphableModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_model.save(tmp_path / "model.npz")
    write_cache(tmp_path / "cache", tiny_model, 24, negatives=6)
    model = ["--morphable-model", str(tmp_path / "model.npz")]
    packed = str(tmp_path / "packed.npz")
    pack = ["dataset", "pack", "--cache", str(tmp_path / "cache"), "--output", packed, *model]
    assert main([*pack, "--megabytes", "0.5"]) == 0
    assert "of 30 crops" in capsys.readouterr().out
    assert main(pack) == 2
    assert "--overwrite" in capsys.readouterr().err
    unpack = ["dataset", "unpack", "--packed", packed, "--output", str(tmp_path / "out"), *model]
    assert main(unpack) == 0
    assert len(open_cache(tmp_path / "out", tiny_model)) > 10


def test_script_trains_and_exports(
    tiny_model: MorphableModel, repo_root: Path, tmp_path: Path
) -> None:
    """The path of a GPU on the CPU, from a packed cache to an ONNX file that the regressor loads."""
    pytest.importorskip("torch", reason="the extra [training] (torch) is not installed")
    pytest.importorskip("onnx", reason="the extra [training] (onnx) is not installed")
    from tddfa_ros.regression.regressor import Regressor

    tiny_model.save(tmp_path / "model.npz")
    write_cache(tmp_path / "cache", tiny_model, 60, negatives=24)
    cache = open_cache(tmp_path / "cache", tiny_model)
    pack_cache(cache, tiny_model, tmp_path / "packed.npz", max_bytes=3_000_000, side=96)
    run = tmp_path / "run"
    small = ["--epochs", "1", "--minutes", "0", "--batch", "8", "--width", "0.125", "--no-amp"]
    environment = {
        **os.environ,
        "DEVICE": "cpu",
        "INIT": "",
        "MODEL": str(tmp_path / "model.npz"),
        "PYTHON": sys.executable,
    }
    script = str(repo_root / "scripts" / "train_on_gpu.sh")
    command = ["bash", script, str(tmp_path / "packed.npz"), str(run), *small, "--threads", "1"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "trained for 1 epochs" in done.stdout
    regressor = Regressor(run / "regressor.onnx", tiny_model)
    crops = np.zeros((2, 120, 120, 3), np.uint8)
    assert regressor(crops).params.shape == (2, tiny_model.layout.size)
    usage = subprocess.run(["bash", script], capture_output=True, text=True, check=False)
    assert usage.returncode == 2 and "usage:" in usage.stderr
