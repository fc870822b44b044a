from __future__ import annotations

import os
from pathlib import Path

import pytest

from tddfa_ros.errors import ConfigError, TddfaError
from tddfa_ros.files import atomic_path, write_atomically
from tddfa_ros.targets import check_folder, check_targets, same_file


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"photo")
    return path


def alias(kind: str, file: Path) -> Path:
    """Another path to the same file."""
    folder = file.parent
    if kind == "symbolic link":
        (folder / "link.jpg").symlink_to(file)
        return folder / "link.jpg"
    if kind == "hard link":
        os.link(file, folder / "hard.jpg")
        return folder / "hard.jpg"
    if kind == "linked folder":
        (folder / "other").symlink_to(folder, target_is_directory=True)
        return folder / "other" / file.name
    if kind == "relative":
        return Path(os.path.relpath(file))
    if kind == "dots":
        return folder / "x" / ".." / file.name
    return folder / "PHOTO.jpg"


@pytest.mark.parametrize("kind", ["symbolic link", "hard link", "linked folder", "relative", "dots", "case"])  # fmt: skip
def test_input_is_recognized_by_any_path(kind: str, file: Path) -> None:
    (file.parent / "x").mkdir()
    other = alias(kind, file)
    assert same_file(other, file) and same_file(file, other)
    with pytest.raises(ConfigError, match="is an input; choose another output name"):
        check_targets([other], [file], overwrite=True)
    assert file.read_bytes() == b"photo"


def test_different_files_are_distinguished(file: Path) -> None:
    other = file.with_name("Photo.jpg")
    other.write_bytes(b"another")
    if not other.samefile(file):  # a file system that tells case
        assert not same_file(other, file)
    assert not same_file(file, file.with_name("new.jpg"))
    check_targets([file.with_name("new.jpg")], [file])


def test_data_files_in_an_input_folder_are_inputs(file: Path) -> None:
    with pytest.raises(ConfigError, match="is an input"):
        check_targets([file], [file.parent], overwrite=True)
    check_targets([file.parent / "new.jpg"], [file.parent])


def test_existing_file_needs_overwrite(file: Path) -> None:
    with pytest.raises(ConfigError, match=r"photo\.jpg exists; --overwrite replaces it"):
        check_targets([file])
    check_targets([file], overwrite=True)
    check_targets([file], known=lambda path: path == file)
    dangling = file.with_name("dangling.jpg")
    dangling.symlink_to(file.parent / "nowhere.jpg")
    with pytest.raises(ConfigError, match="exists"):
        check_targets([dangling])


def test_rejects_one_name_for_two_outputs(file: Path) -> None:
    new = file.with_name("new.jpg")
    with pytest.raises(ConfigError, match="two outputs"):
        check_targets([new, file.with_name("NEW.jpg")])
    with pytest.raises(ConfigError, match="is a folder"):
        check_targets([file.parent], overwrite=True)


def test_accepts_pipes_and_devices(file: Path) -> None:
    check_targets(["-", "/dev/null"])
    fifo = file.with_name("pipe")
    os.mkfifo(fifo)
    check_targets([fifo])
    with atomic_path(fifo) as path:
        assert path == fifo


def test_rejects_unwritable_location(file: Path) -> None:
    with pytest.raises(TddfaError, match=r"photo\.jpg is not a folder"):
        check_targets([file / "out.jpg"])
    with pytest.raises(TddfaError, match="is not a folder"):
        check_folder(file / "out" / "deep", ())
    new = file.parent / "a" / "b" / "out.jpg"
    check_targets([new])
    check_folder(new.parent, ("*.png",))
    assert not (file.parent / "a").exists(), "nothing is created"


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_rejects_folder_without_permission(file: Path) -> None:
    file.parent.chmod(0o500)
    with pytest.raises(TddfaError, match="no permission"):
        check_targets([file.with_name("new.jpg")])


def test_rejects_unrelated_files_in_a_folder(file: Path) -> None:
    folder = file.parent
    with pytest.raises(ConfigError, match="was not written by this command"):
        check_folder(folder, ("*.jpg",))
    check_folder(folder, ("*.png",))
    check_folder(folder, ("*.jpg",), overwrite=True)
    check_folder(folder, ("*.jpg",), own=lambda _: True)
    for overwrite in (False, True):
        with pytest.raises(ConfigError, match="is an input"):
            check_folder(folder, ("*.jpg",), [file], overwrite=overwrite, own=lambda _: True)
    with pytest.raises(ConfigError, match="is a file"):
        check_folder(file, ())


def test_replaced_file_keeps_its_permissions_and_a_link_its_target(file: Path) -> None:
    file.chmod(0o640)
    link = file.with_name("link.jpg")
    link.symlink_to(file)
    write_atomically(link, b"new")
    assert link.is_symlink() and file.read_bytes() == b"new"
    assert file.stat().st_mode & 0o777 == 0o640
    assert sorted(p.name for p in file.parent.iterdir()) == ["link.jpg", "photo.jpg"]
