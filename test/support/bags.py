"""Write ROS bags like ``ros2 bag record``, with the library rosbags."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

STORE = get_typestore(Stores.ROS2_HUMBLE)
RAW, COMPRESSED = "/camera/image_raw", "/camera/image_raw/compressed"
FIRST_STAMP = 1_700_000_000_123_456_789


def stamp_ns(index: int) -> int:
    """Return the stamp of an image by its index, ns, at 30 Hz."""
    return FIRST_STAMP + index * 33_333_333


def write_bag(
    folder: Path, images: Sequence[np.ndarray], topics: Sequence[str] = (RAW,), mcap: bool = False
) -> Path:
    """Write images (H, W, 3) BGR or gray (H, W) on each topic, and a topic of strings; recorded 5 ms after their stamps."""
    plugin = StoragePlugin.MCAP if mcap else StoragePlugin.SQLITE3
    with Writer(folder, version=9, storage_plugin=plugin) as writer:
        words = writer.add_connection("/words", "std_msgs/msg/String", typestore=STORE)
        text = STORE.types["std_msgs/msg/String"](data="no image")
        for topic in topics:
            kind = f"sensor_msgs/msg/{'CompressedImage' if topic == COMPRESSED else 'Image'}"
            connection = writer.add_connection(topic, kind, typestore=STORE)
            for index, image in enumerate(images):
                message = _message(kind, image, stamp_ns(index))
                at = stamp_ns(index) + 5_000_000
                writer.write(connection, at, STORE.serialize_cdr(message, kind))
                writer.write(words, at, STORE.serialize_cdr(text, "std_msgs/msg/String"))
    return folder


def _message(kind: str, image: np.ndarray, stamp: int) -> Any:
    seconds, nanoseconds = divmod(stamp, 10**9)
    time = STORE.types["builtin_interfaces/msg/Time"](sec=seconds, nanosec=nanoseconds)
    header = STORE.types["std_msgs/msg/Header"](stamp=time, frame_id="camera")
    if kind.endswith("CompressedImage"):
        data = cv2.imencode(".png", image)[1].ravel()
        return STORE.types[kind](header=header, format="bgr8; png compressed bgr8", data=data)
    height, width = image.shape[:2]
    return STORE.types[kind](
        header=header,
        height=height,
        width=width,
        encoding="bgr8" if image.ndim == 3 else "mono8",
        is_bigendian=0,
        step=image.nbytes // height,
        data=np.ascontiguousarray(image).ravel(),
    )
