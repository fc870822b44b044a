"""Recognition, conversion and registration of synthetic files; needs no torch."""

from __future__ import annotations

import importlib.util
import pickle
from pathlib import Path

import numpy as np
import pytest
import scipy.io

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx", reason="the synthetic files need it")

from support.constant_network import write_constant_network
from support.official_files import (
    basel_content,
    whitening_content,
    write_original_onnx,
    write_pickle,
)

from tddfa_ros.cli import main
from tddfa_ros.config import load_config
from tddfa_ros.errors import ConfigError, ModelError, ModelHashError
from tddfa_ros.model_store.store import ModelStore, default_store
from tddfa_ros.morphable.model import MorphableModel
from tddfa_ros.official.importer import import_models
from tddfa_ros.pipeline import FacePipeline

WHITENING = "param_mean_std_62d_120x120.pkl"


def new_store(folder: Path) -> ModelStore:
    return ModelStore(default_store().manifest, folder / "cache")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a folder like a checkout of 3DDFA_V2, with unrelated files."""
    folder = tmp_path / "3DDFA_V2"
    write_pickle(folder / "configs" / WHITENING, whitening_content())
    write_pickle(folder / "configs" / "bfm_noneck_v3_slim.pkl", basel_content())
    write_pickle(folder / "configs" / "other.pkl", {"some": [1, 2, 3]})
    np.save(folder / "configs" / "ncc_code.npy", np.zeros((3, 100), np.float32))
    (folder / "readme.md").write_text("# 3DDFA_V2")
    (folder / "weights").mkdir()
    write_original_onnx(folder / "weights" / "mb05_120x120.onnx")
    return folder


def test_imports_a_checkout(checkout: Path, tmp_path: Path) -> None:
    result = import_models(checkout, new_store(tmp_path))
    assert {e.name: e.role for e in result.entries} == {
        "official-bfm-slim": "morphable",
        "official-mb05": "regressor",
    }
    assert result.notes == []
    store = new_store(tmp_path)
    licenses = [store.entry(n).license for n in ("official-bfm-slim", "official-mb05")]
    assert licenses == ["academic use only", "MIT"]
    assert store.morphable_of("official-mb05") == "official-bfm"
    assert store.morphable_of("tddfa-mb05") == store.morphable_of("mine.onnx") == ""
    chosen = {"model": "official-mb05", "morphable_model": "official-bfm-slim", "device": "cpu"}
    pipe = FacePipeline(load_config({"regression": chosen}), store)
    assert pipe.model.license == "academic use only" and pipe.model.layout.size == 62
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)
    (face,) = pipe.regress(noise, [[20, 20, 180, 180]])
    assert face.vertices.shape == (len(pipe.model.mean), 3)
    assert np.isfinite(face.vertices).all()


def test_edited_network_matches_original_for_any_batch(checkout: Path, tmp_path: Path) -> None:
    import onnxruntime

    import_models(checkout, new_store(tmp_path))
    store = new_store(tmp_path)
    crops = np.random.default_rng(0).uniform(-1, 1, (3, 3, 120, 120)).astype(np.float32)
    original = onnxruntime.InferenceSession(str(checkout / "weights" / "mb05_120x120.onnx"))
    white = np.concatenate([original.run(None, {"input": crop[None]})[0] for crop in crops])
    mine = onnxruntime.InferenceSession(str(store.path("official-mb05")))
    (params,) = mine.run(["params"], {"image": crops})
    content = whitening_content()
    np.testing.assert_allclose(
        params, white * content["std"] + content["mean"], rtol=1e-4, atol=1e-3
    )


def test_imports_single_files(checkout: Path, tmp_path: Path) -> None:
    store = new_store(tmp_path)
    network, elsewhere = checkout / "weights" / "mb05_120x120.onnx", tmp_path / "elsewhere"
    elsewhere.mkdir()
    moved = network.rename(elsewhere / "any.bin")
    with pytest.raises(ModelError, match=f"any.bin needs {WHITENING}"):
        import_models(moved, store)
    (kept,) = import_models(checkout / "configs" / WHITENING, store).notes
    assert "no model by itself; it is kept" in kept
    result = import_models(moved, store)
    assert [entry.name for entry in result.entries] == ["official-mb05"]
    (note,) = result.notes
    assert "official-mb05 cannot be used yet: the Basel Face Model is missing" in note
    assert "tddfa models import --from bfm_noneck_v3.pkl" in note
    with pytest.raises(ModelError, match=r"made from your own bfm_noneck_v3.pkl"):
        new_store(tmp_path).path("official-bfm")
    bfm = import_models(checkout / "configs" / "bfm_noneck_v3_slim.pkl", store, name="my-head")
    assert (bfm.entries[0].name, bfm.notes) == ("my-head", [])
    assert MorphableModel.load(new_store(tmp_path).path("my-head")).name == "my-head"


def test_single_file_uses_files_beside_it(checkout: Path, tmp_path: Path) -> None:
    result = import_models(checkout / "weights" / "mb05_120x120.onnx", new_store(tmp_path))
    assert [entry.name for entry in result.entries] == ["official-mb05"]


def test_full_mesh_gets_repaired_triangles_and_uv(tmp_path: Path) -> None:
    """38,365 vertices, of which ``indices.npy`` says where they lie in ``BFM_UV.mat``."""
    count, rng = 38365, np.random.default_rng(0)
    content = basel_content()
    small = content["u"].reshape(-1, 3)
    spread = np.concatenate([small, rng.normal(size=(count - len(small), 3)) * 4e4 + [0, 0, 9e4]])
    rows = np.concatenate([np.arange(len(small)), np.arange(len(small), count)])
    folder = tmp_path / "configs"
    write_pickle(folder / WHITENING, whitening_content())
    write_pickle(
        folder / "bfm_noneck_v3.pkl",
        {
            **content,
            "u": spread.reshape(-1, 1).astype(np.float32),
            "w_shp": np.zeros((3 * count, 40), np.float32),
            "w_exp": np.zeros((3 * count, 10), np.float32),
        },
    )
    with pytest.raises(ModelError, match=r"needs the triangles of its 38365 vertices"):
        import_models(folder / "bfm_noneck_v3.pkl", new_store(tmp_path / "a"))
    strip = np.stack([rows[:-2], rows[1:-1], rows[2:]]).astype(np.int32)
    write_pickle(folder / "tri.pkl", strip, protocol=4)
    subset = np.sort(rng.choice(53215, count, replace=False)).astype(np.int32)
    np.save(folder / "indices.npy", subset)
    uv = rng.uniform(size=(53215, 2))
    scipy.io.savemat(folder / "BFM_UV.mat", {"UV": uv})
    (entry,) = import_models(folder / "bfm_noneck_v3.pkl", new_store(tmp_path)).entries
    assert entry.name == "official-bfm"
    model = MorphableModel.load(new_store(tmp_path).path("official-bfm"))
    np.testing.assert_allclose(model.uv, uv[subset], rtol=1e-6)
    assert len(model.triangles) == count - 2 and len(model.coarse_triangles) <= 2000


def test_detectors_keep_their_family(tmp_path: Path) -> None:
    kinds = (("score", 1), ("bbox", 4), ("kps", 10))
    outputs = {f"{k}_{s}": np.zeros((64, n), np.float32) for k, n in kinds for s in (8, 16, 32)}
    path = write_constant_network(tmp_path / "det_10g.onnx", outputs, size=(64, 64))
    store = new_store(tmp_path)
    (entry,) = import_models(path, store).entries
    assert (entry.name, entry.role) == ("scrfd", "detector")
    assert "non-commercial" in entry.license
    (named,) = import_models(path, store, name="scrfd-10g", license="mine").entries
    assert (named.name, named.license) == ("scrfd-10g", "mine")
    assert new_store(tmp_path).path("scrfd-10g").read_bytes() == path.read_bytes()


def test_damaged_model_names_import_command(checkout: Path, tmp_path: Path) -> None:
    import_models(checkout, new_store(tmp_path))
    store = new_store(tmp_path)
    path = store.location("official-mb05")
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(ModelHashError, match=r"import --from mb05_120x120.onnx' makes it again"):
        store.path("official-mb05")
    path.unlink()
    with pytest.raises(ModelError, match=r"import --from mb05_120x120.onnx' makes it again"):
        store.path("official-mb05")
    import_models(checkout, store)
    assert new_store(tmp_path).path("official-mb05").is_file()


@pytest.mark.parametrize(
    ("file", "content", "sentence"),
    [
        ("a.pth", b"nothing", "not a readable torch checkpoint, or is truncated"),
        ("a.pkl", pickle.dumps({"x": 1})[:-3], "not a readable pickle, or is truncated"),
        ("a.pkl", pickle.dumps({"x": 1}), "not a file that can be imported"),
        ("a.npy", b"\x93NUMPY\x01\x00v\x00", "not a readable .npy file, or is truncated"),
        ("a.mat", b"MATLAB 5.0 MAT-file" + b" " * 200, "not a readable MATLAB file"),
        ("a.onnx", b"\x08\x07nothing", "not an ONNX file, or is truncated"),
        ("a.jpg", b"\xff\xd8\xff\xe0 an image", "not an ONNX file, or is truncated"),
        ("a.pkl", b"", "is empty"),
    ],
)
def test_rejects_wrong_files(tmp_path: Path, file: str, content: bytes, sentence: str) -> None:
    path = tmp_path / file
    path.write_bytes(content)
    with pytest.raises(ModelError, match=sentence) as caught:
        import_models(path, new_store(tmp_path))
    assert file in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "cache" / "imported" / "manifest.yaml").exists()


def test_rejects_wrong_folders_and_names(checkout: Path, tmp_path: Path) -> None:
    store, network = new_store(tmp_path), checkout / "weights" / "mb05_120x120.onnx"
    with pytest.raises(ModelError, match="does not exist"):
        import_models(tmp_path / "nowhere", store)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="holds no file"):
        import_models(tmp_path / "empty", store)
    for name, sentence in (("tddfa-mb05", "choose another"), ("../up", "no name for a model")):
        with pytest.raises(ConfigError, match=sentence):
            import_models(network, store, name=name)
    with pytest.raises(ConfigError, match="single file only"):
        import_models(checkout, store, name="x")


def test_first_of_two_candidates_is_used(checkout: Path, tmp_path: Path) -> None:
    write_original_onnx(checkout / "weights" / "mb05_copy.onnx", seed=9)
    result = import_models(checkout, new_store(tmp_path))
    assert sorted(entry.name for entry in result.entries) == ["official-bfm-slim", "official-mb05"]
    (note,) = result.notes
    assert "mb05_copy.onnx was left, for mb05_120x120.onnx gave the model official-mb05" in note


def test_bad_file_does_not_stop_the_import(checkout: Path, tmp_path: Path) -> None:
    (checkout / "weights" / "mb1_120x120.pth").write_bytes(b"half a checkp")
    result = import_models(checkout, new_store(tmp_path))
    assert len(result.entries) == 2
    (note,) = result.notes
    assert "mb1_120x120.pth is not a readable torch checkpoint" in note


def test_missing_torch_skips_checkpoints_only(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    magic = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2)
    (checkout / "weights" / "mb1_120x120.pth").write_bytes(magic + b"...")
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "tddfa_ros.official.checkpoints.find_spec",
        lambda name: None if name == "torch" else find(name),
    )
    result = import_models(checkout, new_store(tmp_path))
    assert len(result.entries) == 2
    assert "needs torch: install the extra 'training'" in result.notes[0]


def test_import_command(
    checkout: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("TDDFA_CACHE", str(tmp_path / "cache"))
    assert main(["models", "import", "--from", str(checkout)]) == 0
    assert "official-mb05: regressor, license: MIT" in capsys.readouterr().out
    assert main(["models", "list"]) == 0
    line = next(x for x in capsys.readouterr().out.splitlines() if x.startswith("official-mb05"))
    assert "your mb05_120x120.onnx" in line
    assert main(["models", "verify", "official-mb05", "official-bfm-slim"]) == 0
    assert main(["models", "import", "--from", str(checkout / "readme.md")]) == 2
    assert "error:" in capsys.readouterr().err
