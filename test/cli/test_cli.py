from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import tddfa_ros
from tddfa_ros.cli import main
from tddfa_ros.errors import ConfigError


def test_help_names_every_subcommand(capsys: pytest.CaptureFixture[str], repo_root: Path) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    for path in (repo_root / "tddfa_ros" / "cli").glob("[a-z]*.py"):
        assert f"  {path.stem.replace('_', '-')} " in shown


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["models", "nonsense"], ["models", "list", "--nonsense"]]
)
def test_rejects_wrong_usage_in_one_sentence(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ") and captured.err.count("\n") == 1
    assert "nonsense" in captured.err


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("imge", "image"),
        ("model", "models"),
        ("train-atributes", "train-attributes"),
        ("models ftech", "fetch"),
        ("dataset chek", "check"),
    ],
)
def test_suggests_similar_commands(
    typed: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(typed.split()) == 2
    error = capsys.readouterr().err
    assert (
        f"there is no command '{typed.split()[-1]}'; did you mean {meant}" in error
        and error.count("\n") == 1
    )


def test_prints_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"tddfa {tddfa_ros.__version__}\n"


def test_package_errors_print_one_sentence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise ConfigError("the sky is green")

    monkeypatch.setattr("tddfa_ros.cli.models._store", fail)
    assert main(["models", "list"]) == 2
    assert capsys.readouterr().err == "error: the sky is green\n"


def test_startup_imports_nothing_heavy() -> None:
    code = (
        "import sys; from tddfa_ros.cli import main; main(['models', '--help']); "
        "assert not {'onnxruntime', 'cv2', 'torch', 'onnx', 'rclpy', 'scipy'} & set(sys.modules), sys.modules.keys()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "fetch" in done.stdout


def test_module_prints_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"tddfa {tddfa_ros.__version__}\n"


def test_text_on_the_terminal_cannot_control_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["image", "no\x1b[2J\x9b5m\u202ename.jpg", "-o", "out"]) == 2
    error = capsys.readouterr().err
    assert error.rstrip("\n").isprintable() and "\\x1b[2J" in error


def test_names_that_are_not_utf8_can_be_printed(tmp_path: Path) -> None:
    script = "import os; from tddfa_ros.cli import main; import click; main(['--version']); click.echo(os.fsdecode(b'gr\\xf6'))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert done.returncode == 0 and b"gr\\udcf6" in done.stdout
