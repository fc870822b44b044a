"""Image messages, a camera for the graph under test, and the models of its nodes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[2]
FRAME = "camera_optical_frame"
ASTRONAUT_FACE = (220.0, 125.0)
"""Center of the face in the portrait, px."""


def model_parameters(*, perception: bool = True) -> dict[str, Any]:
    """Return the parameters that select the models; empty for the default models. Skips the test if these are missing.

    ``TDDFA_TEST_MODELS`` is a folder with another ``regressor.onnx`` and ``morphable.npz``.
    """
    own = os.environ.get("TDDFA_TEST_MODELS")
    if own:
        regressor, morphable = f"{own}/regressor.onnx", f"{own}/morphable.npz"
        if not perception:
            return {"morphable_model": morphable}
        return {"regression.model": regressor, "regression.morphable_model": morphable}
    from tddfa_ros.config import RegressionConfig
    from tddfa_ros.errors import ModelError
    from tddfa_ros.model_store.store import default_store

    chosen = RegressionConfig()
    for name in (chosen.model, chosen.morphable_model):
        try:
            default_store().path(name)
        except ModelError as error:
            pytest.skip(f"the model {name} is not here yet: {error}")
    return {}


def image_message(
    image: NDArray[np.uint8], stamp: float, frame: str = FRAME, encoding: str = "bgr8"
) -> Any:
    """Convert an image (H, W) or (H, W, 3) to ``sensor_msgs/Image``."""
    from array import array

    from sensor_msgs.msg import Image

    message = Image(encoding=encoding, height=image.shape[0], width=image.shape[1])
    message.step = image.nbytes // image.shape[0]
    message.data = array("B", image.tobytes())
    return stamped(message, stamp, frame)


def stamped(message: Any, stamp: float, frame: str = FRAME) -> Any:
    """Set the header of a message; ``stamp`` in seconds."""
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(round(stamp * 1e9), 10**9)
    message.header.frame_id = frame
    return message


def calibration(width: int, height: int, focal: float = 600.0) -> Any:
    """Return a ``sensor_msgs/CameraInfo`` without distortion."""
    from sensor_msgs.msg import CameraInfo

    message = CameraInfo(width=width, height=height, distortion_model="plumb_bob")
    message.d = [0.0] * 5
    message.k = np.array([focal, 0, (width - 1) / 2, 0, focal, (height - 1) / 2, 0, 0, 1.0])
    message.r = np.eye(3).ravel()
    message.p = np.array(
        [focal, 0, (width - 1) / 2, 0, 0, focal, (height - 1) / 2, 0, 0, 0, 1.0, 0]
    )
    return message


class Camera:
    """Publishes images on ``image_raw`` of a graph, with strictly increasing current stamps."""

    def __init__(self, graph: Any, image: NDArray[np.uint8], rate: float = 20.0) -> None:
        from sensor_msgs.msg import Image

        self.graph = graph
        self.image = image
        self.period = 1 / rate
        self.stamps: list[float] = []
        self._publisher = graph.publisher(Image, "image_raw", subscribers=0)

    def send(self, message: Any = None) -> None:
        """Publish one message (by default the image, with the current stamp) and spin the probe for one frame period."""
        if message is None:
            self.stamps.append(time.time())
            message = image_message(self.image, self.stamps[-1])
        self._publisher.publish(message)
        self.graph.spin(self.period)

    def until(self, condition: Callable[[], object], timeout: float = 60.0) -> None:
        """Publish images until ``condition()`` holds."""
        end = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > end:
                printed = "\n".join(f"--- {p.log.stem}:\n{p.output}" for p in self.graph.processes)
                raise AssertionError(f"did not happen within {timeout} s; printed:\n{printed}")
            self.send()


def set_parameters(graph: Any, node: str, values: Mapping[str, Any]) -> list[Any]:
    """Set parameters of a running node; return the results in order."""
    from rcl_interfaces.srv import SetParameters
    from rclpy.parameter import Parameter

    request = SetParameters.Request()
    request.parameters = [
        Parameter(name, value=value).to_parameter_msg() for name, value in values.items()
    ]
    return list(graph.call(SetParameters, f"{node}/set_parameters", request).results)
