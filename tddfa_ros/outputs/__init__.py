"""Output files of an image with faces: drawings, maps, meshes and records."""

from __future__ import annotations

from tddfa_ros.outputs.files import find_images, output_names
from tddfa_ros.outputs.image_io import read_ahead
from tddfa_ros.outputs.layers import LAYERS, paint_layers
from tddfa_ros.outputs.records import face_from_record, face_record
from tddfa_ros.outputs.registry import OUTPUTS, Output, Scene
from tddfa_ros.sources.image_file import read_image

__all__ = [
    "LAYERS",
    "OUTPUTS",
    "Output",
    "Scene",
    "face_from_record",
    "face_record",
    "find_images",
    "output_names",
    "paint_layers",
    "read_ahead",
    "read_image",
]
