"""ROS bags in both formats, written by rosbags."""

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

IMAGES_BGR = [
    np.random.default_rng(i).integers(0, 256, (24, 32, 3)).astype(np.uint8) for i in range(3)
]


@pytest.mark.parametrize("mcap", [False, True])
@pytest.mark.parametrize("topic", [RAW, COMPRESSED])
def test_bag_images_in_order_with_header_stamps(tmp_path: Path, mcap: bool, topic: str) -> None:
    path = write_bag(tmp_path / "ride", IMAGES_BGR, [topic], mcap)
    images = BagImages(path)
    assert (images.topic, len(images)) == (topic, 3)
    for _ in range(2):  # it can be read again
        found = [pickle.loads(pickle.dumps(bag_image)) for bag_image in images]
        assert [p.stamp_ns for p in found] == [stamp_ns(i) for i in range(3)]
        for bag_image, wanted in zip(found, IMAGES_BGR, strict=True):
            np.testing.assert_array_equal(bag_image.image(), wanted)
    assert str(found[0]) == f"{path}, {topic} at 1700000000.123456789"


def test_single_bag_file(tmp_path: Path) -> None:
    write_bag(tmp_path / "ride", IMAGES_BGR, mcap=True)
    (file,) = (tmp_path / "ride").glob("*.mcap")
    assert is_bag(file) and is_bag(tmp_path / "ride") and not is_bag(tmp_path)
    assert len(list(BagImages(file))) == 3


@pytest.mark.parametrize("mcap", [False, True])
def test_bag_without_metadata_is_read(tmp_path: Path, mcap: bool) -> None:
    """A recorder that was killed leaves none."""
    path = write_bag(tmp_path / "ride", IMAGES_BGR, mcap=mcap)
    (path / "metadata.yaml").unlink()
    assert is_bag(path)
    assert [image.stamp_ns for image in BagImages(path)] == [stamp_ns(i) for i in range(3)]


def test_infrared_image_of_10_bits_is_stretched() -> None:
    ramp = np.linspace(0, 1023, 256).round().astype("<u2").reshape(8, 32)
    fields = {"height": 8, "width": 32, "encoding": "mono16", "is_bigendian": 0, "step": 64}
    image = BagImage(Path("ride"), RAW, 0, {**fields, "data": ramp.tobytes()}).image()
    np.testing.assert_array_equal(image[..., 0].ravel(), np.arange(256))


def test_topic_selection(tmp_path: Path) -> None:
    path = write_bag(tmp_path / "ride", IMAGES_BGR, [RAW, COMPRESSED])
    with pytest.raises(SourceError, match=f"images on {RAW}, {COMPRESSED}: choose one"):
        BagImages(path)
    assert len(list(BagImages(path, COMPRESSED))) == 3
    with pytest.raises(SourceError, match="no images on /words; its image topics are /camera"):
        BagImages(path, "/words")
    with pytest.raises(SourceError, match=r"has no image topic$"):
        BagImages(write_bag(tmp_path / "talk", IMAGES_BGR, []))


def test_damaged_bag_raises_one_line(tmp_path: Path) -> None:
    path = write_bag(tmp_path / "ride", IMAGES_BGR)
    (file,) = path.glob("*.db3")
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(SourceError, match="ride cannot be read"):
        list(BagImages(path))
    (path / "metadata.yaml").write_text("nothing")
    with pytest.raises(SourceError, match="ride cannot be read"):
        BagImages(path)


def test_undecodable_bag_image_raises_image_error(tmp_path: Path) -> None:
    (bag_image,) = BagImages(write_bag(tmp_path / "ride", IMAGES_BGR[:1]))
    broken = {**bag_image.fields, "data": bag_image.fields["data"][:9]}
    with pytest.raises(ImageError, match="truncated image"):
        BagImage(bag_image.bag, bag_image.topic, bag_image.stamp_ns, broken).image()


def test_missing_rosbags_names_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bag, "find_spec", lambda name: None)
    with pytest.raises(SourceError, match=r"needs rosbags: install the extra 'bags'"):
        BagImages(tmp_path)
