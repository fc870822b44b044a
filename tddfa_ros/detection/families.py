"""Identification of the detector in an ONNX file from its inputs and outputs, independent of the file name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tddfa_ros.errors import ModelError

YUNET_STRIDES = (8, 16, 32)
YUNET_OUTPUTS = tuple(f"{kind}_{s}" for kind in ("cls", "obj", "bbox") for s in YUNET_STRIDES)
"""Outputs in use; the model also has ``kps_<stride>``, five landmarks."""

TDDFA_STRIDES = (8, 16, 32)
TDDFA_OUTPUTS = tuple(f"map_{stride}" for stride in TDDFA_STRIDES)
"""Outputs of ``tddfa-detect``, see :mod:`tddfa_ros.detection.tddfa_detect`."""

_SCRFD_WIDTHS = {6: (1, 4), 9: (1, 4, 10), 10: (1, 4), 15: (1, 4, 10)}
_CENTERFACE_CHANNELS = (1, 2, 2, 10)


def family_of(path: str | Path) -> str | None:
    """Return ``centerface``, ``faceboxes``, ``scrfd``, ``tddfa-detect`` or ``yunet``; None for any other ONNX file.

    Raises:
        ModelError: the file is not a readable ONNX file.
    """
    graph = read_onnx(path).graph
    outputs = [(value.name, _sides(value)) for value in graph.output]
    if set(YUNET_OUTPUTS) <= {name for name, _ in outputs}:
        return "yunet"
    if set(TDDFA_OUTPUTS) <= {name for name, _ in outputs}:
        return "tddfa-detect"
    shapes = [sides for _, sides in outputs]
    last = tuple(sides[-1] if sides else None for sides in shapes)
    if len(shapes) in _SCRFD_WIDTHS:
        widths = _SCRFD_WIDTHS[len(shapes)]
        per_kind = len(shapes) // len(widths)
        if last == tuple(width for width in widths for _ in range(per_kind)):
            return "scrfd"
    if len(shapes) == 2 and _offers_boxes(graph):
        return "faceboxes"
    if tuple(sides[1] if len(sides) == 4 else None for sides in shapes) == _CENTERFACE_CHANNELS:
        return "centerface"
    return None


def fixed_size(path: str | Path) -> tuple[int, int] | None:
    """Return the fixed input height and width of a network; None if they are dynamic."""
    sides = _sides(_image_input(read_onnx(path).graph))
    height, width = sides[2:4] if len(sides) == 4 else (None, None)
    return (height, width) if height and width else None


def read_onnx(path: str | Path) -> Any:
    """Read the file as an ``onnx.ModelProto``; raise ModelError if it is not one."""
    import onnx

    try:
        model = onnx.load(str(path), load_external_data=False)
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from error
    except Exception as error:  # protobuf's, by version
        raise ModelError(f"{path} is not an ONNX file, or is truncated") from error
    if not model.graph.node:
        raise ModelError(f"{path} is not an ONNX file, or is truncated")
    return model


def _image_input(graph: Any) -> Any:
    stored = {tensor.name for tensor in graph.initializer}
    return next(value for value in graph.input if value.name not in stored)


def _offers_boxes(graph: Any) -> bool:
    """Check for two outputs of 4 and 2 values per prior; without stored shapes, for a final softmax over convolutions."""
    widths = [sides[-1] if sides else None for sides in map(_sides, graph.output)]
    if widths == [4, 2]:
        return True
    makers = {name: node for node in graph.node for name in node.output}
    last = makers.get(graph.output[1].name)
    convolved = {node.op_type for node in graph.node}
    return (
        widths[0] in (4, None)
        and last is not None
        and last.op_type == "Softmax"
        and "Conv" in convolved
    )


def _sides(value: Any) -> list[int | None]:
    """Return the declared dimensions of an input or output; None for a dynamic one."""
    return [dim.dim_value or None for dim in value.type.tensor_type.shape.dim]
