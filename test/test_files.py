"""Files are written whole or not at all, and a failure is one sentence."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from support.disk import full_disk

from tddfa_ros.errors import TddfaError
from tddfa_ros.files import atomic_path, create_array, save_arrays, write_atomically


def test_full_disk_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with (
        full_disk(1000),
        pytest.raises(TddfaError, match=rf"^cannot write {path}: File too large$"),
    ):
        write_atomically(path, bytes(5000))
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_full_disk_while_saving_arrays(tmp_path: Path) -> None:
    with full_disk(1000), pytest.raises(TddfaError, match=r"a\.npz: File too large"):
        save_arrays(tmp_path / "a.npz", values=np.zeros(5000))
    assert os.listdir(tmp_path) == []


def test_error_names_the_target_and_other_files(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with (
        pytest.raises(
            TddfaError, match=rf"^cannot write {path}: No such file.*: {tmp_path}/input$"
        ),
        atomic_path(path) as temporary,
    ):
        temporary.write_bytes((tmp_path / "input").read_bytes())
    with (
        pytest.raises(TddfaError, match=rf"^cannot write {path}: No space left on device$"),
        atomic_path(path) as temporary,
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(temporary))
    with pytest.raises(TddfaError, match=r"^cannot write .*file/a: File exists: .*/file$"):
        (tmp_path / "file").touch()
        write_atomically(tmp_path / "file" / "a", b"")
    with pytest.raises(BrokenPipeError), atomic_path(path):
        raise BrokenPipeError
    assert os.listdir(tmp_path) == ["file"]


def test_full_device(tmp_path: Path) -> None:
    with pytest.raises(TddfaError, match=r"^cannot write /dev/full: No space left on device$"):
        write_atomically(Path("/dev/full"), b"1")


def test_mapped_array_reserves_its_space(tmp_path: Path) -> None:
    """Without, the first write to a hole of the file ends the process with SIGBUS."""
    path = tmp_path / "a.npy"
    array = create_array(path, (100, 64), np.uint8)
    assert path.stat().st_blocks * 512 >= array.nbytes
    array[7] = 7
    array.flush()
    np.testing.assert_array_equal(np.load(path), array)
    with full_disk(1000), pytest.raises(TddfaError, match=r"b\.npy: File too large"):
        create_array(tmp_path / "b.npy", (100, 64), np.uint8)
    assert os.listdir(tmp_path) == ["a.npy"]


def test_mapped_array_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(TddfaError, match=r"a\.npy: No space left on device"):
        create_array(tmp_path / "a.npy", (100, 64), np.uint8)
    assert os.listdir(tmp_path) == []
