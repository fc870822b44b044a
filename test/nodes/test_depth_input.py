from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tddfa_msgs", reason="tddfa_msgs is not built: run through `make test`")

from builtin_interfaces.msg import Time
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from tddfa_ros.errors import ImageError
from tddfa_ros.nodes.convert.messages import SCALE_DEPTH
from tddfa_ros.nodes.depth_input import DepthInput, depth_image

DEPTH = np.array([[0.5, 0.0, 1.25], [2.0, 0.75, 3.5]])


class Node:
    def create_subscription(self, *_: Any) -> None:
        pass


def message(encoding: str = "16UC1", big: bool = False, padding: int = 0, ms: int = 0) -> Image:
    kind = np.dtype((">" if big else "<") + ("f4" if encoding == "32FC1" else "u2"))
    values = DEPTH if encoding == "32FC1" else 1000 * DEPTH
    rows = values.astype(kind).view(np.uint8)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=255)
    made = Image(height=2, width=3, encoding=encoding, is_bigendian=int(big), step=rows.shape[1])
    made.header = Header(frame_id="color", stamp=Time(sec=5, nanosec=ms * 1_000_000))
    made.data = rows.tobytes()
    return made


@pytest.mark.parametrize("encoding", ["16UC1", "mono16", "32FC1"])
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("padding", [0, 4])
def test_depth_is_in_meters(encoding: str, big: bool, padding: int) -> None:
    depth = depth_image(message(encoding, big, padding))
    assert depth.dtype == np.float32
    np.testing.assert_allclose(depth, DEPTH, rtol=1e-6)


def test_rejects_other_encodings_and_truncated_images() -> None:
    with pytest.raises(ImageError, match="must be 16UC1 or 32FC1, not 'bgr8'"):
        depth_image(Image(encoding="bgr8"))
    short = message()
    short.data = short.data[:-2]
    with pytest.raises(ImageError, match="truncated depth image: 10 bytes"):
        depth_image(short)
    narrow = message()
    narrow.step = 4
    with pytest.raises(ImageError, match="step 4"):
        depth_image(narrow)


def test_nearest_depth_image_within_50_ms() -> None:
    source: Any = DepthInput(Node())  # type: ignore[arg-type]
    color = message(ms=500).header
    assert source.depth_for(color, 3, 2) is None
    source.put(message(ms=440))
    assert source.depth_for(color, 3, 2) is None
    near = message("32FC1", ms=520)
    source.put(near)
    source.put(message(ms=560))
    assert source.depth_for(color, 3, 2) is not None
    source.put(Image(header=message(ms=500).header, width=3, height=2, encoding="mono8"))
    with pytest.raises(ImageError, match="mono8"):  # the nearest
        source.depth_for(color, 3, 2)


def test_refuses_depth_that_is_not_aligned() -> None:
    source: Any = DepthInput(Node())  # type: ignore[arg-type]
    source.put(message())
    with pytest.raises(ImageError, match="3x2 px, the color image 640x480 px"):
        source.depth_for(message().header, 640, 480)
    header = message().header
    header.frame_id = "other"
    with pytest.raises(ImageError, match="frame 'color', the color image in 'other'"):
        source.depth_for(header, 3, 2)


@pytest.mark.parametrize("name", ["FaceMesh", "FaceLandmarks"])
def test_constant_of_the_messages(name: str) -> None:
    text = Path(__file__).parents[2].joinpath(f"tddfa_msgs/msg/{name}.msg").read_text("utf-8")
    found = re.search(r"^uint8 SCALE_DEPTH=(\d+)", text, re.MULTILINE)
    assert found is not None and int(found[1]) == SCALE_DEPTH
