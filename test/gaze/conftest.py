from __future__ import annotations

import pytest
from support.gaze_scenes import Draw, renderer


@pytest.fixture(scope="session")
def draw() -> Draw:
    """See :func:`renderer`."""
    return renderer()
