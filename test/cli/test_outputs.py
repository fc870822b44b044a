"""No command writes onto its input, or onto an existing file unasked: checked for every command there is."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import cv2
import numpy as np
import pytest

from tddfa_ros.cli import main, tddfa
from tddfa_ros.cli._files import Command, InputName, InputPath, OutputFile, OutputFolder

TEXTS = {"changes", "host", "inputs_format", "license", "livelink", "loss_decay", "loss_weights", "name", "names", "namespace",
         "osc", "outputs", "overlay", "ray", "sources", "subject", "takes", "topic", "anchor"}  # fmt: skip
"""Parameters that are text and no file. A new parameter that names a file is declared by a type of ``cli/_files.py`` instead."""

SUFFIX = {"video": ".mp4", "quantize": ".onnx", "edit --obj": ".obj"}
"""Of the output, where a command checks it first; else .png."""


def commands() -> Iterator[tuple[str, click.Command]]:
    def walk(group: click.Group, before: str) -> Iterator[tuple[str, click.Command]]:
        context = click.Context(group)
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None
            if isinstance(command, click.Group):
                yield from walk(command, f"{before}{name} ")
            else:
                yield f"{before}{name}", command

    yield from walk(tddfa, "")


COMMANDS = dict(commands())
FILES = [(n, p) for n, c in COMMANDS.items() for p in c.params if isinstance(p.type, OutputFile)]
FOLDERS = [(n, p) for n, c in COMMANDS.items() for p in c.params if isinstance(p.type, OutputFolder)]  # fmt: skip
CLASHES = [
    (n, o, i)
    for n, o in FILES
    for i in COMMANDS[n].params
    if isinstance(i.type, (InputPath, InputName)) and getattr(i.type, "file_okay", True)
]


def label(value: object) -> str | None:
    return value.opts[-1] if isinstance(value, click.Parameter) else str(value)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with an image in.png and a folder in."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    image = cv2.imencode(".png", np.full((96, 96, 3), 90, np.uint8))[1].tobytes()
    for name in ("in.png", "in/a.png"):
        (tmp_path / name).write_bytes(image)
    return tmp_path


def arguments(name: str, given: dict[click.Parameter, str]) -> list[str]:
    """A command line with these values, and something for all else that it requires."""
    words = name.split()
    for parameter in COMMANDS[name].params:
        kind = parameter.type
        value = given.get(parameter)
        if value is None:
            if not parameter.required and not isinstance(parameter, click.Argument):
                continue
            if isinstance(kind, (OutputFile, OutputFolder)):
                value = "new.png" if isinstance(kind, OutputFile) else "new"
            elif parameter.name == "glb":
                value = "glasses"
            elif isinstance(kind, click.Choice):
                value = str(kind.choices[0])
            else:
                value = "in" if not getattr(kind, "file_okay", True) else "in.png"
        words += [value] if isinstance(parameter, click.Argument) else [parameter.opts[-1], value]
    return words


def suffix_of(name: str, parameter: click.Parameter) -> str:
    return SUFFIX.get(f"{name} {parameter.opts[-1]}", SUFFIX.get(name, ".png"))


def test_every_command_declares_its_files() -> None:
    assert len(FILES) >= 16 and len(FOLDERS) >= 8
    for name, command in COMMANDS.items():
        assert isinstance(command, Command), f"{name} must be declared by cli/_files.py"
        for parameter in command.params:
            kind = parameter.type
            where = f"{name} {parameter.opts[-1]}"
            if isinstance(kind, click.Path):
                assert isinstance(kind, (InputPath, OutputFile, OutputFolder)), where
            elif kind is click.STRING:
                known = parameter.name in TEXTS or str(parameter.name).startswith("config_")
                assert known, f"is {where} a file?"


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_commands_that_write_have_the_option(command: click.Command) -> None:
    writes = any(isinstance(p.type, (OutputFile, OutputFolder)) for p in command.params)
    assert any(p.name == "overwrite" for p in command.params) == writes


@pytest.mark.parametrize(("name", "parameter"), FILES, ids=label)
def test_existing_file_is_kept(
    name: str, parameter: click.Parameter, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = place / f"mine{suffix_of(name, parameter)}"
    assert isinstance(parameter.type, OutputFile)
    for path in (target, *parameter.type.beside(target)):
        path.write_bytes(b"mine")
        assert main(arguments(name, {parameter: str(target)})) == 2
        error = capsys.readouterr().err
        assert f"{path} exists; --overwrite replaces it" in error and error.count("\n") == 1
        assert path.read_bytes() == b"mine"
        path.unlink()


@pytest.mark.parametrize(("name", "parameter", "source"), CLASHES, ids=label)
def test_input_is_never_overwritten(
    name: str,
    parameter: click.Parameter,
    source: click.Parameter,
    place: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = place / f"mine{suffix_of(name, parameter)}"
    file.write_bytes(b"mine")
    given = {parameter: str(file), source: str(file)}
    assert main([*arguments(name, given), "--overwrite"]) == 2
    assert f"{file} is an input" in capsys.readouterr().err
    assert file.read_bytes() == b"mine"


@pytest.mark.parametrize(("name", "parameter"), FOLDERS, ids=label)
def test_existing_files_in_a_folder_are_kept(
    name: str, parameter: click.Parameter, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kind = parameter.type
    assert isinstance(kind, OutputFolder)
    folder = place / "mine"
    for pattern in kind.patterns or {"image": ("faces.json",), "trt": ("model.onnx",)}[name]:
        if pattern == "checkpoint.pt" and name in ("train", "train-detector"):
            continue  # the mark of a run; what is none is refused by the trainer
        path = folder / pattern.replace("**", "deep").replace("*", "x")
        path.parent.mkdir(parents=True)
        path.write_bytes(b"mine")
        status = main(arguments(name, {parameter: str(folder)}))
        error = capsys.readouterr().err
        if name != "trt":  # needs TensorRT before it looks at the folder
            assert f"{path} exists" in error
        assert status == 2 and error.count("\n") == 1
        assert [p for p in folder.rglob("*") if p.is_file()] == [path]
        assert path.read_bytes() == b"mine"
        path.unlink()
        for empty in sorted(folder.rglob("*"), reverse=True):
            empty.rmdir()
        folder.rmdir()


def test_folder_of_the_same_command_is_refilled(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def command(name: str) -> Callable[..., object]:
        @click.option("-o", "output", type=OutputFolder("report.md"))
        def write(output: Path) -> None:
            output.mkdir(exist_ok=True)
            (output / "report.md").write_text(name)

        made = click.command(name, cls=Command)(write)
        return lambda *words: made.main(list(words), prog_name=name, standalone_mode=False)

    first, second = command("first"), command("second")
    first("-o", "out")
    first("-o", "out")
    with pytest.raises(Exception, match=r"report.md exists and was not written by this command"):
        second("-o", "out")
    second("-o", "out", "--overwrite")
    assert (place / "out" / "report.md").read_text() == "second"


def test_rejected_command_leaves_no_files(place: Path) -> None:
    before = sorted(os.listdir(place))
    for words in (
        ["image", "in.png", "-o", "out", "--detector", "nobody"],
        ["image", "in.png", "-o", "out.jpg"],
        ["batch", "in.png", "-o", "out.jsonl", "--ray", "auto"],
        ["batch", "in.png", "-o", "out.jsonl", "--detector", "nobody"],
        ["makeup", "in.png", "-o", "out/a.png", "--detector", "nobody"],
        ["avatar", "in.png", "--jsonl", "out.jsonl", "--regressor", "nobody"],
        ["edit", "in.png", "--set", "jawOpen=1", "-o", "out.png"],
        ["edit", "in.png", "-o", "out.png"],
    ):
        assert main(words) == 2, words
        assert sorted(os.listdir(place)) == before, words
