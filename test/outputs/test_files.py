from __future__ import annotations

import os
from pathlib import Path

import pytest

from tddfa_ros.errors import SourceError
from tddfa_ros.outputs.files import find_images, output_names


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a/10.jpg", "a/2.jpg", "a/notes.txt", "b/2.jpg", "b/deep/x.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def found(folder: Path, *inputs: str) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in find_images(folder / i for i in inputs)]


def test_folder_in_natural_order(folder: Path) -> None:
    assert found(folder, "a") == ["a/2.jpg", "a/10.jpg"]


def test_patterns(folder: Path) -> None:
    assert found(folder, "*/2.*") == ["a/2.jpg", "b/2.jpg"]
    assert found(folder, "**/*.png") == ["b/deep/x.png"]


def test_keeps_order_without_duplicates(folder: Path) -> None:
    assert found(folder, "b/2.jpg", "a", "**/2.jpg") == ["b/2.jpg", "a/2.jpg", "a/10.jpg"]


def test_file_name_with_glob_characters(folder: Path) -> None:
    (folder / "x[1].jpg").write_bytes(b"")
    assert found(folder, "x[1].jpg") == ["x[1].jpg"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("nix.jpg", "there is no image or folder"), ("*.gif", "no file matches"), ("b/deep/..", None)],
)  # fmt: skip
def test_rejects_missing_inputs(folder: Path, text: str, sentence: str | None) -> None:
    if sentence is None:
        assert found(folder, text) == ["b/deep/../2.jpg"]
        return
    with pytest.raises(SourceError, match=sentence):
        found(folder, text)


def test_rejects_no_input() -> None:
    with pytest.raises(SourceError, match="no image is given"):
        find_images([])


def names(*paths: str) -> list[str]:
    return output_names([Path(os.sep, *path.split("/")) for path in paths])


def test_unique_names_are_stems() -> None:
    assert names("p/a.jpg", "p/b.v2.png") == ["a", "b.v2"]


def test_colliding_names_are_extended() -> None:
    assert names("p/a.jpg", "p/a.png", "p/b.jpg") == ["a_jpg", "a_png", "b"]
    assert names("p/l/a.jpg", "p/r/a.jpg") == ["l_a_jpg", "r_a_jpg"]
    assert names("p/l/x/a.jpg", "q/l/x/a.jpg") == ["p_l_x_a_jpg", "q_l_x_a_jpg"]
    assert names("p/A.jpg", "p/a.png") == ["A_jpg", "a_png"]


def test_names_are_always_unique() -> None:
    awkward = ["p/a.jpg", "p/a.png", "p/a_jpg.jpg", "p/p_a_jpg.jpg", "r/a.jpg", "a.jpg", "a_b/c.jpg", "a/b_c.jpg", "x/c.jpg"]  # fmt: skip
    made = names(*awkward)
    assert len({name.casefold() for name in made}) == len(awkward)
