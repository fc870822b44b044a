"""Dense, metric, identified and smooth 3D faces from images, with or without ROS 2.

    from tddfa_ros import FacePipeline

    faces = FacePipeline()(image_bgr)

Public names are imported when they are first used, so that ``import tddfa_ros`` stays cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tddfa_ros.version import __version__ as __version__

if TYPE_CHECKING:
    from tddfa_ros.config import PipelineConfig as PipelineConfig
    from tddfa_ros.config import load_config as load_config
    from tddfa_ros.errors import TddfaError as TddfaError
    from tddfa_ros.face import Face as Face
    from tddfa_ros.face import TrackedFace as TrackedFace
    from tddfa_ros.morphable.model import MorphableModel as MorphableModel
    from tddfa_ros.pipeline import FacePipeline as FacePipeline
    from tddfa_ros.smoothing.smoother import FaceSmoother as FaceSmoother
    from tddfa_ros.tracking.tracker import FaceTracker as FaceTracker
    from tddfa_ros.types import HeadPose as HeadPose
    from tddfa_ros.types import Intrinsics as Intrinsics
    from tddfa_ros.types import ParamLayout as ParamLayout

_HOME_OF = {
    "Face": "face",
    "FacePipeline": "pipeline",
    "FaceSmoother": "smoothing.smoother",
    "FaceTracker": "tracking.tracker",
    "HeadPose": "types",
    "Intrinsics": "types",
    "MorphableModel": "morphable.model",
    "ParamLayout": "types",
    "PipelineConfig": "config",
    "TddfaError": "errors",
    "TrackedFace": "face",
    "load_config": "config",
}

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    """Import the module that defines a public name (PEP 562)."""
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Names for completion, including those not yet imported."""
    return sorted({*globals(), *__all__})
