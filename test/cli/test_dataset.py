from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.synthetic_model import synthetic_model
from support.user_dataset import ROI, write_dataset

from tddfa_ros.cli import dataset as commands
from tddfa_ros.cli import main
from tddfa_ros.geometry.pose import to_image
from tddfa_ros.morphable import MorphableModel


@pytest.fixture(scope="module")
def model() -> MorphableModel:
    return synthetic_model(shape=4, expressions=6)


@pytest.fixture
def data(model: MorphableModel, tmp_path: Path) -> Path:
    """Return a folder with model.npz, a dataset data/ of three items, and their landmarks."""
    model.save(tmp_path / "model.npz")
    write_dataset(tmp_path / "data", model, 3)
    (tmp_path / "points").mkdir()
    for path in (tmp_path / "data" / "params").iterdir():
        params = np.load(path)
        landmarks = to_image(model.head_landmarks(params), params[:12].reshape(3, 4), ROI)
        np.save(tmp_path / "points" / path.name, landmarks)
    return tmp_path


def run(data: Path, command: str, *arguments: str) -> int:
    return main(["dataset", command, *arguments, "--morphable-model", str(data / "model.npz")])


def test_choices_match_the_library() -> None:
    from tddfa_ros.training.data.landmarks import POINT_CHOICES
    from tddfa_ros.training.data.mat_files import FORMATS
    from tddfa_ros.training.data.render import SIZES, UV_FORMATS

    options = {
        o.name: o.type for c in (commands.fit.command, commands.render.command) for o in c.params
    }
    assert options["points"].choices == POINT_CHOICES
    assert options["kind"].choices == ("folder", *FORMATS)
    assert options["size"].choices == SIZES
    assert options["uv_format"].choices == UV_FORMATS


def test_fit_render_check_cache(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = data / "out"
    fit = ["--landmarks", str(data / "points"), "--images", str(data / "data" / "images")]
    assert run(data, "fit", *fit, "--output", str(out)) == 0
    shown = capsys.readouterr().out
    assert f"{out / 'fitted.list'}: 3 items, mean error 0." in shown and "worst: 000" in shown
    lists = ["--list", str(out / "fitted.list")]
    assert run(data, "render", *lists, "--output", str(out), "--uv-size", "16") == 0
    assert f"{out}: maps of 3 items" in capsys.readouterr().out
    assert run(data, "check", *lists, "--strict") == 0
    found = capsys.readouterr().out
    assert (
        found == "fitted.list: 3 items with images, params, seg maps, UV position maps of 16 px\n"
    )
    assert run(data, "cache", *lists, "--output", str(data / "cache")) == 0
    assert f"{data / 'cache'}: 3 faces" in capsys.readouterr().out
    assert np.load(data / "cache" / "parsing.npy").shape == (3, 192, 192)


@pytest.mark.parametrize("command", ["check", "render", "cache"])
def test_bad_items_are_reported_and_strict_fails(
    data: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (data / "data" / "params" / "0002.npy").write_bytes(b"")
    arguments = ["--list", str(data / "data" / "all.list")]
    folder = {"render": "--output", "cache": "--output"}.get(command)
    arguments += [folder, str(data / "out")] if folder else []
    reason = "0002: params/0002.npy is damaged"

    def lines() -> list[str]:  # without the progress bars
        return [line for line in capsys.readouterr().err.splitlines() if "%|" not in line and line]

    assert run(data, command, *arguments) == (command == "check")
    assert lines() == [reason, "1 of 3 items of all.list are excluded"]
    assert run(data, command, *arguments, "--strict") == 2
    error = f"error: 1 of 3 items of all.list cannot be used, the first is {reason}"
    assert lines() == [reason, error]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["check", "--list", "nowhere.list"], "nowhere.list"),
        (["check"], "--list"),
        (["cache", "--output", "x"], "either --faces or --list"),
        (
            ["cache", "--output", "x", "--faces", ".", "--list", __file__],
            "either --faces or --list",
        ),
        (["fit", "--images", ".", "--output", "x"], "needs --landmarks"),
        (
            ["fit", "--images", ".", "--output", "x", "--landmarks", ".", "--format", "300w-lp"],
            "the other formats exclude it",
        ),
        (["fit", "--images", ".", "--output", "x", "--landmarks", ".", "--points", "5"], "5"),
        (["render", "--list", __file__, "--output", "x", "--size", "100"], "100"),
    ],
)
def test_rejects_invalid_input_in_one_sentence(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["dataset", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and message in error


def test_reports_empty_dataset_in_one_sentence(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (data / "data" / "images").iterdir():
        path.unlink()
    assert run(data, "check", "--list", str(data / "data" / "all.list")) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("error: none of the 3 items of all.list can be used")
