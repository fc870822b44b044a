"""Bags that rosbags writes here, in both formats, read picture by picture."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rosbags.highlevel", reason="the extra [bags] (rosbags) is not installed")

from support.bags import COMPRESSED, RAW, stamp_ns, write_bag

from tddfa_ros.errors import ImageError, SourceError
from tddfa_ros.sources import bag
from tddfa_ros.sources.bag import BagImage, BagImages, is_bag

PICTURES = [
    np.random.default_rng(i).integers(0, 256, (24, 32, 3)).astype(np.uint8) for i in range(3)
]


@pytest.mark.parametrize("mcap", [False, True])
@pytest.mark.parametrize("topic", [RAW, COMPRESSED])
def test_pictures_come_in_order_with_the_stamps_of_their_headers(
    tmp_path: Path, mcap: bool, topic: str
) -> None:
    path = write_bag(tmp_path / "ride", PICTURES, [topic], mcap)
    pictures = BagImages(path)
    assert (pictures.topic, len(pictures)) == (topic, 3)
    for _ in range(2):  # it can be read again
        found = [pickle.loads(pickle.dumps(picture)) for picture in pictures]
        assert [p.stamp_ns for p in found] == [stamp_ns(i) for i in range(3)]
        for picture, wanted in zip(found, PICTURES, strict=True):
            np.testing.assert_array_equal(picture.image(), wanted)
    assert str(found[0]) == f"{path}, {topic} at 1700000000.123456789"


def test_a_file_of_a_bag_is_enough(tmp_path: Path) -> None:
    write_bag(tmp_path / "ride", PICTURES, mcap=True)
    (file,) = (tmp_path / "ride").glob("*.mcap")
    assert is_bag(file) and is_bag(tmp_path / "ride") and not is_bag(tmp_path)
    assert len(list(BagImages(file))) == 3


def test_which_topic_is_meant(tmp_path: Path) -> None:
    path = write_bag(tmp_path / "ride", PICTURES, [RAW, COMPRESSED])
    with pytest.raises(SourceError, match=f"images on {RAW}, {COMPRESSED}: choose one"):
        BagImages(path)
    assert len(list(BagImages(path, COMPRESSED))) == 3
    with pytest.raises(SourceError, match="no images on /words; its image topics are /camera"):
        BagImages(path, "/words")
    with pytest.raises(SourceError, match=r"has no image topic$"):
        BagImages(write_bag(tmp_path / "talk", PICTURES, []))


def test_damage_is_said_in_one_sentence(tmp_path: Path) -> None:
    path = write_bag(tmp_path / "ride", PICTURES)
    (file,) = path.glob("*.db3")
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(SourceError, match="ride cannot be read"):
        list(BagImages(path))
    (path / "metadata.yaml").write_text("nothing")
    with pytest.raises(SourceError, match="ride cannot be read"):
        BagImages(path)


def test_a_picture_that_cannot_be_decoded_is_an_image_error(tmp_path: Path) -> None:
    (picture,) = BagImages(write_bag(tmp_path / "ride", PICTURES[:1]))
    broken = {**picture.fields, "data": picture.fields["data"][:9]}
    with pytest.raises(ImageError, match="truncated image"):
        BagImage(picture.bag, picture.topic, picture.stamp_ns, broken).image()


def test_without_rosbags_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bag, "find_spec", lambda name: None)
    with pytest.raises(SourceError, match=r"needs rosbags: install the extra 'bags'"):
        BagImages(tmp_path)
