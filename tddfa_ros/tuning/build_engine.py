"""Compile a network for the GPU of this machine with TensorRT."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from tddfa_ros.errors import ConfigError, DeviceError, ModelError
from tddfa_ros.files import atomic_path, sha256_of
from tddfa_ros.runtime.devices import TENSORRT, tensorrt_absence
from tddfa_ros.runtime.session import OnnxSession
from tddfa_ros.runtime.tensorrt import DESCRIPTION, MODEL, EngineFolder


def build_engine(
    onnx: Path, folder: Path, *, half: bool = False, max_batch: int = 16, opt_batch: int = 1
) -> float:
    """Compile a network for the GPU of this machine and keep the result; it takes up to minutes.

    Use it by the path ``folder/model.onnx``, wherever a network is named.

    Args:
        onnx: a network whose inputs have fixed sizes, but for the batch.
        folder: where it goes: new, empty, or an engine folder, which is replaced.
        half: allow float16.
        max_batch: largest batch; larger ones are computed in parts. A network with a fixed batch keeps that.
        opt_batch: the batch that TensorRT chooses the fastest kernels for: 1 for a stream with few faces, more for batches.

    Returns:
        Seconds that it took.

    Raises:
        ModelError: the network is missing, unusable or has inputs of variable size.
        ConfigError: ``max_batch`` or ``opt_batch`` is out of range, or the folder holds something else.
        DeviceError: TensorRT is absent, or cannot run this network.
    """
    if max_batch < 1:
        raise ConfigError(f"the largest batch must be 1 or more, not {max_batch}")
    if not 1 <= opt_batch <= max_batch:
        raise ConfigError(
            f"the batch to optimize for must be 1 to the largest batch ({max_batch}), not {opt_batch}"
        )
    if not onnx.is_file():
        raise ModelError(f"the model file {onnx} does not exist")
    absence = tensorrt_absence()
    if absence is not None:
        raise DeviceError(f"TensorRT cannot be used on this machine: {absence}")
    inputs, fixed = _input_shapes(onnx)
    engine = EngineFolder(
        folder,
        half,
        fixed or max_batch,
        inputs,
        sha256_of(onnx),
        opt_batch=fixed or opt_batch,
        min_batch=fixed or 1,
    )
    _prepare(engine, onnx)
    start = time.perf_counter()
    session = OnnxSession(folder / MODEL, "cuda")
    if session.provider != TENSORRT:
        raise DeviceError(f"no engine was made of {onnx}: {session.fallback_reason}")
    return time.perf_counter() - start


def _input_shapes(onnx: Path) -> tuple[dict[str, tuple[int, ...]], int | None]:
    """Return the shape of one item of each input, and the batch size if it is fixed."""
    items: dict[str, tuple[int, ...]] = {}
    batches: list[int] = []
    for name, (batch, *sides) in OnnxSession(onnx, "cpu").input_shapes.items():
        items[name] = tuple(side for side in sides if isinstance(side, int))
        if len(items[name]) < len(sides):
            raise ModelError(
                f"{onnx} cannot become an engine: its input {name} has sides of variable size, {sides}"
            )
        if isinstance(batch, int):
            batches.append(batch)
    return items, max(batches, default=None)


def _prepare(engine: EngineFolder, onnx: Path) -> None:
    folder = engine.folder
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file; an engine is a folder")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / DESCRIPTION).is_file():
        raise ConfigError(f"the folder {folder} is not empty and holds no engine")
    folder.mkdir(parents=True, exist_ok=True)
    if onnx.resolve() != (folder / MODEL).resolve():
        with atomic_path(folder / MODEL) as temporary:
            shutil.copyfile(onnx, temporary)
    engine.clear()
    engine.save()
