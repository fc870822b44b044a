from __future__ import annotations

from pathlib import Path

import pytest

from tddfa_ros.errors import ConfigError
from tddfa_ros.training.data.layout import (
    ImageFolder,
    ItemError,
    check_name,
    read_entries,
    read_list,
    shown,
    split_name,
    write_list,
)


@pytest.mark.parametrize(
    ("line", "name", "suffix"),
    [
        ("0001", "0001", ""),
        ("0001.jpg", "0001", ".jpg"),
        ("0001.JPG", "0001", ".JPG"),
        ("a/b/0001.png", "a/b/0001", ".png"),
        ("a\\0001.png", "a/0001", ".png"),
        ("images/a/0001.jpg", "a/0001", ".jpg"),
        ("images/0001", "0001", ""),
        ("0001.5", "0001.5", ""),
        ("images.jpg", "images", ".jpg"),
    ],
)
def test_split_name(line: str, name: str, suffix: str) -> None:
    assert split_name(line) == (name, suffix)


def test_list_comments_and_empty_lines(tmp_path: Path) -> None:
    path = tmp_path / "train.list"
    path.write_text("\ufeff# all of it\n\n0001.jpg  # a good one\r\n  a/0002\na#3\n", "utf-8")
    assert read_list(path) == ["0001.jpg", "a/0002", "a#3"]
    write_list(path, ["x", "y/z"], "made by hand")
    assert read_list(path) == ["x", "y/z"]
    assert path.read_text().startswith("# made by hand\n")


def test_list_folder_is_the_root(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.list").write_text("0001\n")
    entries = read_entries([tmp_path / "a" / "a.list", tmp_path / "b" / "b.list"])
    assert [entry.params for entry in entries] == [
        tmp_path / "a" / "params" / "0001.npy",
        tmp_path / "b" / "params" / "0001.npy",
    ]
    assert [entry.source for entry in entries] == ["a", "b"]


@pytest.mark.parametrize("content", [None, b"", b"# nothing\n\n", b"\xff\xfe\x00\xd8"])
def test_rejects_empty_list(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "train.list"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"train\.list"):
        read_list(path)


def test_finds_images_by_stem(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for name in ("1.JPG", "2.png", "2.jpg", "3.txt", "a/4.webp", "5.1.jpeg"):
        (tmp_path / name).touch()
    images = ImageFolder(tmp_path)
    assert images.find("1") == tmp_path / "1.JPG"
    assert images.find("a/4") == tmp_path / "a/4.webp"
    assert images.find("5.1") == tmp_path / "5.1.jpeg"
    assert images.find("2", ".png") == tmp_path / "2.png"
    with pytest.raises(ItemError, match=r"2\.jpg and 2\.png"):
        images.find("2")
    for name in ("3", "4", "nowhere/1"):
        with pytest.raises(ItemError, match=f"no image .*/{name}$"):
            images.find(name)


@pytest.mark.parametrize("name", ["../1", "a/../../1", "/etc/1"])
def test_rejects_names_outside_the_dataset(name: str) -> None:
    with pytest.raises(ItemError, match="relative"):
        check_name(name)


def test_shown_path_is_relative_to_dataset() -> None:
    assert shown(Path("/x/data/seg_maps/a/1.png")) == "seg_maps/a/1.png"
    assert shown(Path("/x/elsewhere/1.png")) == "elsewhere/1.png"
