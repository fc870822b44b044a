from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from support.fake_predictor import FakePredictor, numbered_image, random_points

from tddfa_ros.cli import main
from tddfa_ros.errors import ConfigError
from tddfa_ros.evaluation.prediction import Prediction
from tddfa_ros.evaluation.sets import Sets
from tddfa_ros.evaluation.suites import SUITES, available, find, run


@pytest.fixture
def users_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "holiday"
    numbered_image(folder / "photo" / "0.png", 0, (200, 200))
    np.savez(folder / "gt.npz", name=np.array(["0.png"]), pts68=random_points(1))
    return folder


@pytest.fixture
def fake() -> FakePredictor:
    return FakePredictor([Prediction(random_points(1)[0])], boxes=[np.zeros((0, 5))])


def test_folder_is_a_suite(users_folder: Path, fake: FakePredictor) -> None:
    (result,) = run(fake, [str(users_folder)], Sets(users_folder))
    assert result.suite == "holiday"
    assert result.figure("true ROI, mesh", "NME68") == pytest.approx(0, abs=1e-4)


def test_rejects_unknown_suite_before_running(users_folder: Path, fake: FakePredictor) -> None:
    with pytest.raises(ConfigError, match=r"no suite 'nonsense'.*aflw2000"):
        run(fake, [str(users_folder), "nonsense"], Sets(users_folder))
    assert fake.asked == []


def test_suite_requires_all_folders(tmp_path: Path) -> None:
    for folder in ("eval/helen", "eval/aflw2000", "faces"):
        (tmp_path / folder).mkdir(parents=True)
    expected = ["aflw2000", "whole", "framing", "bias", "pose", "helen", "lp", "cfp", "aflw21"]
    expected += ["uncertainty", "maps", "expression"]
    assert available(Sets(tmp_path)) == expected
    assert available(Sets(tmp_path / "eval")) == expected


def test_limit_samples_the_whole_set(tmp_path: Path) -> None:
    rows = {"a": np.arange(10), "b": 10 * np.arange(10)}
    some = Sets(tmp_path, 4).some(rows)
    assert some["a"].tolist() == [0, 3, 6, 9]
    assert some["b"].tolist() == [0, 30, 60, 90]
    assert Sets(tmp_path).some(rows) is rows


def test_prints_and_writes_report(
    users_folder: Path,
    fake: FakePredictor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("tddfa_ros.evaluation.pipeline.PipelinePredictor", lambda pipeline: fake)
    out = tmp_path / "out"
    arguments = ["eval", "--data", str(tmp_path), "--suite", str(users_folder)]
    assert main([*arguments, "--json", "-o", str(out)]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((out / "report.json").read_text())
    assert printed["suites"][0]["suite"] == "holiday"
    assert (out / "report.md").read_text().startswith("# fake\n")
    assert (out / "holiday_errors.png").is_file()
    assert main(arguments) == 0
    assert "| true ROI, mesh | 1 |" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--suite", "nonsense"], "no suite 'nonsense'"),
        ([], "contains no evaluation set"),
        (["--suite", "ytf"], "the evaluation set ytf is not in"),
        (["--suite", "ytf", "--regressor", "nonsense"], "no model 'nonsense'"),
    ],
)
def test_user_errors_print_one_sentence(
    arguments: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["eval", "--data", str(tmp_path), *arguments]) == 2
    errors = capsys.readouterr().err
    assert sentence in errors
    assert errors.count("\n") == 1


def test_help_names_every_suite(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", "--help"]) == 0
    shown = capsys.readouterr().out.replace("\n", " ")
    assert all(name in shown for name in SUITES)


@pytest.fixture(scope="module")
def predictor() -> object:
    from tddfa_ros.errors import ModelError
    from tddfa_ros.evaluation.pipeline import PipelinePredictor
    from tddfa_ros.pipeline import FacePipeline

    try:
        pipeline = FacePipeline()
        pipeline.detector  # noqa: B018 - fetched at first need
    except ModelError as error:
        pytest.skip(f"the default models are not here: {error}")
    return PipelinePredictor(pipeline)


# Wide tolerances: few faces of each set, and the weights change more often than this test.
PLAUSIBLE = {
    "aflw2000": ("standard, mesh", "NME68", 0.5, 12.0),
    "whole": ("standard", "NME68", 0.5, 12.0),
    "bias": ("standard, brows", "down", -6.0, 6.0),
    "uncertainty": ("AFLW2000-3D", "ratio", 0.5, 4.0),
    "pose": ("without constant tilt", "MAE", 0.5, 12.0),
    "helen": ("true ROI, mesh", "NME51", 0.5, 6.0),
    "ytf": ("detector, mesh", "recall", 0.7, 1.0),
    "aflw21": ("mesh", "NME", 0.5, 12.0),
    "framing": ("shift 0.1, scale 1", "two passes", 1.0, 9.0),
    "lp": ("mesh", "NME68", 1.0, 6.0),
    "cfp": ("mesh", "NME", 1.0, 8.0),
    "expression": ("yawning against not: jawOpen", "AUC", 0.8, 1.0),
    "confidence": ("all faces", "AUC", 0.7, 1.0),
    "stability": ("still: tracked, smoothed", "std", 0.0, 2.0),
    "detection": ("faces from 32 px", "recall", 0.5, 1.0),
}


def test_default_network_has_no_figures_of_maps(predictor, data_dir: Path) -> None:
    """`maps` is measured on ``tddfa-mb05-multitask``, in ``test_maps.py``."""
    assert {*PLAUSIBLE, "maps"} == set(SUITES)
    result = find("maps").evaluate(predictor, Sets(data_dir, 2))
    assert [row.count for row in result.rows] == [0, 0]


@pytest.mark.parametrize("name", PLAUSIBLE)
def test_default_pipeline_figures_are_plausible(name: str, predictor, data_dir: Path) -> None:
    limit = 1 if name == "stability" else 4
    result = find(name).evaluate(predictor, Sets(data_dir, limit))
    row, column, low, high = PLAUSIBLE[name]
    figure = result.figure(row, column)
    assert figure is not None
    assert low <= figure <= high
    assert all(row.count for row in result.rows)
