from __future__ import annotations

import os
from pathlib import Path

import pytest

from tddfa_ros.errors import SourceError
from tddfa_ros.outputs.files import find_images, output_names


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name in ("a/10.jpg", "a/2.jpg", "a/notes.txt", "b/2.jpg", "b/deep/x.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def found(photos: Path, *inputs: str) -> list[str]:
    return [path.relative_to(photos).as_posix() for path in find_images(photos / i for i in inputs)]


def test_a_folder_gives_its_pictures_in_natural_order(photos: Path) -> None:
    assert found(photos, "a") == ["a/2.jpg", "a/10.jpg"]


def test_patterns(photos: Path) -> None:
    assert found(photos, "*/2.*") == ["a/2.jpg", "b/2.jpg"]
    assert found(photos, "**/*.png") == ["b/deep/x.png"]


def test_inputs_keep_their_order_and_come_once(photos: Path) -> None:
    assert found(photos, "b/2.jpg", "a", "**/2.jpg") == ["b/2.jpg", "a/2.jpg", "a/10.jpg"]


def test_a_file_whose_name_looks_like_a_pattern(photos: Path) -> None:
    (photos / "x[1].jpg").write_bytes(b"")
    assert found(photos, "x[1].jpg") == ["x[1].jpg"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("nix.jpg", "there is no picture or folder"), ("*.gif", "no file matches"), ("b/deep/..", None)],
)  # fmt: skip
def test_what_is_not_there(photos: Path, text: str, sentence: str | None) -> None:
    if sentence is None:
        assert found(photos, text) == ["b/deep/../2.jpg"]
        return
    with pytest.raises(SourceError, match=sentence):
        found(photos, text)


def test_nothing_given() -> None:
    with pytest.raises(SourceError, match="no picture is given"):
        find_images([])


def names(*paths: str) -> list[str]:
    return output_names([Path(os.sep, *path.split("/")) for path in paths])


def test_names_that_are_unique_stay_short() -> None:
    assert names("p/a.jpg", "p/b.v2.png") == ["a", "b.v2"]


def test_names_that_collide_grow() -> None:
    assert names("p/a.jpg", "p/a.png", "p/b.jpg") == ["a_jpg", "a_png", "b"]
    assert names("p/l/a.jpg", "p/r/a.jpg") == ["l_a_jpg", "r_a_jpg"]
    assert names("p/l/x/a.jpg", "q/l/x/a.jpg") == ["p_l_x_a_jpg", "q_l_x_a_jpg"]
    assert names("p/A.jpg", "p/a.png") == ["A_jpg", "a_png"]


def test_names_are_unique_whatever_happens() -> None:
    awkward = ["p/a.jpg", "p/a.png", "p/a_jpg.jpg", "p/p_a_jpg.jpg", "r/a.jpg", "a.jpg", "a_b/c.jpg", "a/b_c.jpg", "x/c.jpg"]  # fmt: skip
    made = names(*awkward)
    assert len({name.casefold() for name in made}) == len(awkward)
