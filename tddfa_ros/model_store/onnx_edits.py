"""Edits applied once to downloaded ONNX files."""

from __future__ import annotations

from collections.abc import Callable

from tddfa_ros.errors import ModelError


def free_height_and_width(model: bytes) -> bytes:
    """Make batch, height and width of an image network dynamic.

    ONNX Runtime refuses inputs that do not match the declared sizes, although convolutions would take them. Inputs that
    only repeat a weight are dropped too: they keep ONNX Runtime from folding constants, with a warning for each.

    Args:
        model: a serialized ONNX model whose inputs and outputs are NCHW.

    Raises:
        ModelError: it cannot be parsed, or the package ``onnx`` is missing.
    """
    try:
        import onnx
        from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    except ImportError as error:
        raise ModelError(
            "preparing this model needs the Python package onnx: pip install onnx"
        ) from error
    try:
        parsed = onnx.load_model_from_string(model)
    except DecodeError as error:
        raise ModelError("the file to prepare is not an ONNX model") from error
    weights = {weight.name for weight in parsed.graph.initializer}
    inputs = [value for value in parsed.graph.input if value.name not in weights]
    del parsed.graph.input[:]
    parsed.graph.input.extend(inputs)
    for kind, values in (("input", parsed.graph.input), ("output", parsed.graph.output)):
        for value in values:
            dims = value.type.tensor_type.shape.dim
            dims[0].dim_param, dims[2].dim_param, dims[3].dim_param = (
                "batch",
                f"{kind}_height",
                f"{kind}_width",
            )
    return bytes(parsed.SerializeToString(deterministic=True))


EDITS: dict[str, Callable[[bytes], bytes]] = {"free_height_and_width": free_height_and_width}
"""By the name that the manifest uses."""
