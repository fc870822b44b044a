"""The regression network on the device: crops and parameters are tensors that do not leave it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tddfa_ros.device.crops import Frames, sample_crops
from tddfa_ros.device.dense import DeviceDense
from tddfa_ros.errors import DeviceError
from tddfa_ros.regression.regressor import AGREEMENT, HEAD, LEAST_CONTRAST, Regressor
from tddfa_ros.runtime.torch_device import TensorSession
from tddfa_ros.types import POSE_SIZE, DoubleArray

if TYPE_CHECKING:
    from torch import Tensor


class DeviceResult(NamedTuple):
    """Network output for n ROIs on the device; see `RegressionResult`.

    Attributes:
        params: (n, P) float32.
        crop_landmarks: (n, 68, 3) landmarks of the mesh, px of the 120-px crop.
        confidence: (n,) 0..1.
        crop_sigma: (n, 68) px of the crop; None if the network does not predict it.
    """

    params: Tensor
    crop_landmarks: Tensor
    confidence: Tensor
    crop_sigma: Tensor | None


class DeviceRegressor:
    """A regression network on a device: frames and ROIs in, parameters out.

    Batches larger than ``max_batch``, or than a TensorRT engine takes, are split. A GPU that runs out of memory halves the batch
    for the rest of the run.

    Args:
        path: as for `Regressor`, or the ``model.onnx`` of a TensorRT engine.
        dense: reconstruction on the same device.
        max_batch: largest number of faces that the network takes at once; its tensors are allocated once, for this number.
        threads: of ONNX Runtime on the CPU.

    Raises:
        DeviceError: the network cannot run on that device.
        ModelError: the network does not fit the morphable model.
    """

    def __init__(
        self, path: str | Path, dense: DeviceDense, max_batch: int = 256, threads: int = 1
    ) -> None:
        self.dense = dense
        self._regressor = Regressor(path, dense.model, dense.device.type, threads)
        self.session = TensorSession(self._regressor.session, dense.device, max_batch)
        self._outputs = self._regressor.outputs
        space = self._regressor.metadata.parameter_space
        self._from_space = None
        if space:
            import torch

            matrix = np.ascontiguousarray(dense.model.from_space.T)
            self._from_space = torch.tensor(matrix, device=dense.device)

    @property
    def provider(self) -> str:
        """Execution provider, as ONNX Runtime reports it."""
        return self._regressor.session.provider

    def __call__(self, frames: Frames, index: NDArray[np.intp], rois: DoubleArray) -> DeviceResult:
        """Regress ROIs (n, 4), image px, of frames ``index`` (n,); n may be 0.

        Raises:
            ImageError: a ROI is not finite, empty or unreasonably large.
            DeviceError: the device failed, or has too little memory for a single face.
        """
        import torch

        parts: list[DeviceResult] = []
        at = 0
        while at < len(rois) or not parts:
            chosen = slice(at, at + self.session.max_batch)
            try:
                parts.append(self._regress(frames, index[chosen], rois[chosen]))
            except (MemoryError, torch.cuda.OutOfMemoryError) as error:
                self._halve(error)
                continue
            at += max(1, len(rois[chosen]))
        if len(parts) == 1:
            return parts[0]
        columns = zip(*parts, strict=True)
        return DeviceResult(*(None if c[0] is None else torch.cat(c) for c in columns))

    def _halve(self, error: BaseException) -> None:
        if self.session.max_batch == 1:
            raise DeviceError(
                f"{self.session.name} failed on {self.dense.device.type}: out of memory with a single face"
            ) from error
        self.session.max_batch //= 2

    def _regress(self, frames: Frames, index: NDArray[np.intp], rois: DoubleArray) -> DeviceResult:
        import torch

        crops = sample_crops(frames, index, rois, self._regressor.input_size)
        found = dict(zip(self._outputs, self._run(crops), strict=True))
        # The next run overwrites the network's tensors.
        params = found["params"].float().clone()
        if self._from_space is not None:
            params = params @ self._from_space
        landmarks = self.dense.crop_landmarks(params)
        samples = crops[:, ::4, ::4]
        centered = samples - samples.mean(dim=(1, 2), keepdim=True)
        contrast = centered.square().mean(dim=(1, 2)).sqrt().amax(dim=1)
        confidence = self._confidence(params, landmarks, found) * (contrast >= LEAST_CONTRAST)
        sigma = found.get("landmark_sigma")
        sigma = None if sigma is None else sigma.float().clone()
        return DeviceResult(params, landmarks, confidence.to(torch.float32), sigma)

    def _run(self, crops: Tensor) -> list[Tensor]:
        image = self.session.input("image", len(crops))
        image.copy_(crops.permute(0, 3, 1, 2).sub(127.5).mul_(1 / 128))
        return self.session.run(self._outputs, len(crops))

    def _confidence(self, params: Tensor, landmarks: Tensor, found: dict[str, Tensor]) -> Tensor:
        """Return confidences (n,) as `Regressor` does."""
        assert self._regressor.confidence_rule is not None
        rule, (midpoint, width) = self._regressor.confidence_rule
        if rule == HEAD:
            return found["confidence"].float()
        if rule == AGREEMENT:
            disorder = (landmarks[..., :2] - found["landmarks"].float()).norm(dim=-1).mean(dim=-1)
        else:
            disorder = _pose_disorder(params)
        return ((midpoint - disorder) / width).sigmoid()


def _pose_disorder(params: Tensor) -> Tensor:
    """Return the deviation (n,) from a scaled rotation; see :func:`tddfa_ros.regression.regressor.pose_disorder`."""
    import torch

    linear = params[:, :POSE_SIZE].reshape(-1, 3, 4)[..., :3].double()
    lengths = linear.norm(dim=-1)
    unit = linear / lengths.clamp_min(1e-12)[..., None]
    cosines = (unit @ unit.transpose(1, 2))[:, [0, 0, 1], [1, 2, 2]]
    relative = lengths / lengths.mean(dim=-1, keepdim=True).clamp_min(1e-12) - 1
    return torch.cat([cosines, relative], dim=-1).square().mean(dim=-1).sqrt()
