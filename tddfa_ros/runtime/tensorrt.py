"""TensorRT engine folders: a network and the files that ONNX Runtime's TensorRT provider compiled from it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tddfa_ros.errors import ModelError
from tddfa_ros.files import sha256_of, write_atomically

MODEL = "model.onnx"
DESCRIPTION = "engine.json"
_COMPILED = ("*.engine", "*.profile", "*.timing", "*.cache")


@dataclass(frozen=True)
class EngineFolder:
    """A folder made by `build_engine`: ``model.onnx``, ``engine.json`` and the files that TensorRT compiled.

    The network is complete, so that it also runs without TensorRT. Compiled files are valid for one GPU model and one
    TensorRT version.

    Attributes:
        folder: where it is.
        half: whether layers may be computed in float16.
        max_batch: largest batch that the engine takes.
        inputs: shape of one item by input, without the batch.
        sha256: of the network that the engine was compiled from.
        opt_batch: the batch that the engine is optimized for.
        min_batch: smallest batch; 1 unless the network has a fixed batch.
    """

    folder: Path
    half: bool
    max_batch: int
    inputs: Mapping[str, tuple[int, ...]]
    sha256: str
    opt_batch: int = 1
    min_batch: int = 1

    @classmethod
    def around(cls, model: Path) -> EngineFolder | None:
        """Return the engine folder that contains a network; None if it is not in one.

        Raises:
            ModelError: the folder's description cannot be read.
        """
        path = model.parent / DESCRIPTION
        if model.name != MODEL or not path.is_file():
            return None
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            inputs = {name: tuple(map(int, shape)) for name, shape in values["inputs"].items()}
            half, batch, sha256 = values["half"], int(values["max_batch"]), str(values["sha256"])
            # Absent in folders made by version 0.2.0.
            opt_batch, min_batch = int(values.get("opt_batch", 1)), int(values.get("min_batch", 1))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelError(
                f"{path} cannot be read: make the engine anew with 'tddfa trt'"
            ) from error
        return cls(model.parent, bool(half), batch, inputs, sha256, opt_batch, min_batch)

    def save(self) -> None:
        """Write the description."""
        values = {
            "half": self.half,
            "min_batch": self.min_batch,
            "opt_batch": self.opt_batch,
            "max_batch": self.max_batch,
            "inputs": {name: list(shape) for name, shape in self.inputs.items()},
            "sha256": self.sha256,
        }
        text = json.dumps(values, indent=2) + "\n"
        write_atomically(self.folder / DESCRIPTION, text.encode())

    def provider_options(self) -> dict[str, Any]:
        """Return options of ONNX Runtime's TensorRT provider: the range of batches, engine cache in this folder."""
        shapes = {
            bound: ",".join(
                f"{name}:{'x'.join(map(str, (batch, *shape)))}"
                for name, shape in self.inputs.items()
            )
            for bound, batch in (
                ("min", self.min_batch),
                ("opt", self.opt_batch),
                ("max", self.max_batch),
            )
        }
        return {
            "trt_fp16_enable": self.half,
            "trt_engine_cache_enable": True,
            "trt_engine_cache_path": str(self.folder),
            "trt_timing_cache_enable": True,
            "trt_timing_cache_path": str(self.folder),
            "trt_profile_min_shapes": shapes["min"],
            "trt_profile_opt_shapes": shapes["opt"],
            "trt_profile_max_shapes": shapes["max"],
        }

    def compiled_files(self) -> list[Path]:
        """Return the files compiled by TensorRT."""
        return sorted({path for pattern in _COMPILED for path in self.folder.glob(pattern)})

    def is_stale(self) -> bool:
        """Return whether the compiled files belong to another network than the one in this folder."""
        return bool(self.compiled_files()) and sha256_of(self.folder / MODEL) != self.sha256

    def clear(self) -> bool:
        """Remove the compiled files, and take the network as it is now; whether there was anything to remove."""
        files = self.compiled_files()
        for path in files:
            path.unlink(missing_ok=True)
        current = sha256_of(self.folder / MODEL)
        if current != self.sha256:
            replace(self, sha256=current).save()
        return bool(files)
