from __future__ import annotations

from pathlib import Path

import pytest

from tddfa_ros.errors import ModelError
from tddfa_ros.model_store.store import default_store


@pytest.fixture(scope="session")
def centerface_path() -> Path:
    try:
        return default_store().path("centerface")
    except ModelError as error:
        pytest.skip(f"CenterFace cannot be had here: {error}")
