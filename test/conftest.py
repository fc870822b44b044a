"""Fixtures for the whole suite; helpers that are not fixtures live in ``test/support``."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]

# Set before rclpy is imported: a separate ROS domain on localhost, so that neither a robot on the network nor another run
# of the suite talks to the nodes under test. Domains 1 to 101 are safe on every platform.
os.environ["ROS_DOMAIN_ID"] = str(random.SystemRandom().randint(1, 101))
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
if os.environ.get("ROS_DISTRO") == "humble":
    os.environ["ROS_LOCALHOST_ONLY"] = (
        "1"  # the older name of the same; newer distributions warn about it
    )


@pytest.fixture(scope="session")
def repo_root() -> Path:
    """Return the root of the source tree."""
    return ROOT


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Return the folder of test images and labels, outside the repository."""
    path = Path(os.environ.get("TDDFA_DATA", ROOT.parent / "shared" / "data")).resolve()
    if not (path / "README.md").is_file():
        pytest.skip("test data are absent: set TDDFA_DATA or put them at ../shared/data")
    return path


@pytest.fixture(scope="session")
def astronaut_path() -> Path:
    """Return the portrait of Eileen Collins from the scikit-image wheel (NASA, public domain)."""
    skimage = pytest.importorskip(
        "skimage", reason="scikit-image, which carries the portrait, is not installed"
    )
    path = Path(skimage.__file__).parent / "data" / "astronaut.png"
    if not path.is_file():
        pytest.skip("this scikit-image does not carry data/astronaut.png")
    return path


@pytest.fixture(scope="session")
def _astronaut(astronaut_path: Path) -> np.ndarray:
    import cv2

    image = cv2.imread(str(astronaut_path), cv2.IMREAD_COLOR)
    image.setflags(write=False)
    return image


@pytest.fixture
def astronaut(_astronaut: np.ndarray) -> np.ndarray:
    """(512, 512, 3) uint8 BGR, a fresh copy; the face lies at about x 175..270, y 60..190."""
    return _astronaut.copy()


@pytest.fixture
def graph(tmp_path: Path) -> Iterator[object]:
    """Start nodes as separate processes and talk to them over DDS; see :class:`support.graph.Graph`."""
    pytest.importorskip("rclpy", reason="no ROS 2 here: run through `make test`")
    from support.graph import Graph

    with Graph(tmp_path) as running:
        yield running
