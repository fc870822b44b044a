from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tddfa_ros.errors import ConfigError
from tddfa_ros.training.attributes.labeled import read_celeba

LIST = """3
Male Smiling Young
000001.jpg -1  1  1
000002.jpg  1 -1 -1
000003.jpg -1 -1  1
"""


def test_read_celeba(tmp_path: Path) -> None:
    (tmp_path / "list_attr_celeba.txt").write_text(LIST)
    (tmp_path / "list_eval_partition.txt").write_text("000001.jpg 0\n000002.jpg 2\n")
    (tmp_path / "img_align_celeba").mkdir()
    faces = read_celeba(tmp_path)
    np.testing.assert_array_equal(faces.feminine, [1, 0, 1])
    np.testing.assert_array_equal(faces.smiling, [1, 0, 0])
    assert np.isnan(faces.age).all()
    assert faces.part.tolist() == ["train", "test", ""]
    assert faces.paths[0] == str(tmp_path / "img_align_celeba" / "000001.jpg")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("3\n", "fewer than two lines"),
        ("1\nYoung Smiling\n1.jpg 1 1\n", "lacks the attribute Male"),
        (LIST.replace("1 -1 -1", "1 -1 0"), "line 4: expected a name and 3 of -1 or 1"),
        (LIST.replace("-1 -1  1", "-1"), "line 5: expected a name"),
    ],
)
def test_rejects_invalid_celeba_list(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "list_attr_celeba.txt").write_text(text)
    with pytest.raises(ConfigError, match=said):
        read_celeba(tmp_path)


def test_rejects_missing_list_and_invalid_partition(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read CelebA's .*list_attr_celeba.txt"):
        read_celeba(tmp_path)
    (tmp_path / "list_attr_celeba.txt").write_text(LIST)
    (tmp_path / "list_eval_partition.txt").write_text("000001.jpg 7\n")
    with pytest.raises(ConfigError, match="line 1: expected a name and 0, 1 or 2"):
        read_celeba(tmp_path)
