"""Output files of an image with faces: drawings, maps, meshes and records. Names are imported when they are first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tddfa_ros.outputs.files import find_images as find_images
    from tddfa_ros.outputs.files import output_names as output_names
    from tddfa_ros.outputs.image_io import read_ahead as read_ahead
    from tddfa_ros.outputs.layers import LAYERS as LAYERS
    from tddfa_ros.outputs.layers import paint_layers as paint_layers
    from tddfa_ros.outputs.records import face_from_record as face_from_record
    from tddfa_ros.outputs.records import face_record as face_record
    from tddfa_ros.outputs.registry import OUTPUTS as OUTPUTS
    from tddfa_ros.outputs.registry import Output as Output
    from tddfa_ros.outputs.registry import Scene as Scene
    from tddfa_ros.sources.image_file import read_image as read_image

_HOME_OF = {
    "LAYERS": "outputs.layers",
    "OUTPUTS": "outputs.registry",
    "Output": "outputs.registry",
    "Scene": "outputs.registry",
    "face_from_record": "outputs.records",
    "face_record": "outputs.records",
    "find_images": "outputs.files",
    "output_names": "outputs.files",
    "paint_layers": "outputs.layers",
    "read_ahead": "outputs.image_io",
    "read_image": "sources.image_file",
}

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    """Import the module that defines a public name (PEP 562)."""
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"tddfa_ros.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Names for completion, including those not yet imported."""
    return sorted({*globals(), *__all__})
