"""Landmarks and dense vertices of many faces of many images at once, on a GPU or, by the same code, on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tddfa_ros.config import PipelineConfig
from tddfa_ros.device.crops import upload_frames
from tddfa_ros.device.dense import DenseVertices, DeviceDense
from tddfa_ros.device.pose import DevicePose, metric_poses, rotations
from tddfa_ros.device.regressor import DeviceRegressor
from tddfa_ros.errors import CameraError, ImageError
from tddfa_ros.geometry.camera import SELLION, metric_fits
from tddfa_ros.geometry.lens import pinhole
from tddfa_ros.geometry.roi import roi_from_box, roi_from_landmarks, rows_of_four
from tddfa_ros.model_store.store import ModelStore, default_store
from tddfa_ros.morphable.model import MorphableModel
from tddfa_ros.precision.networks import regression_network
from tddfa_ros.runtime.torch_device import Download, StagingBuffers, needs_memory, torch_device
from tddfa_ros.types import CROP_FRAME, DoubleArray, ImageBGR, Intrinsics, RealArray

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class DeviceFaces:
    """The n faces of a batch of frames; tensors are on the device, in the order of the frames.

    Attributes:
        index: (n,) frame of each face, on the host.
        rois: (n, 4) float64 ``x0, y0, x1, y1``, image px, on the host.
        params: (n, P) float32.
        confidence: (n,) float32, 0..1.
        landmarks: (n, 68, 3) float32, image px; z nearer = larger.
        landmark_sigma: (n, 68) float32 standard deviation of x and y, image px; None if the network does not predict it.
        intrinsics: of the frames.
    """

    index: NDArray[np.intp]
    rois: DoubleArray
    params: Tensor
    confidence: Tensor
    landmarks: Tensor
    landmark_sigma: Tensor | None
    intrinsics: Sequence[Intrinsics]
    _dense: DeviceDense = field(repr=False)
    _interpupillary_distance: float = 0.0
    _kept: dict[str, Tensor] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.index)

    def vertices(self, half: bool = False) -> DenseVertices:
        """Compute the dense vertices, image px; 195 kB per face with the default model, or half of it in float16.

        Raises:
            DeviceError: too little memory.
        """
        import torch

        rois = torch.from_numpy(self.rois).to(self.params.device)
        with needs_memory(f"the vertices of {len(self)} faces"):
            return self._dense.vertices(self._heads(), self.params, rois, half)

    def vertices_metric(self, half: bool = False) -> DenseVertices:
        """Compute the dense vertices, m, camera optical frame; NaN for a face without a metric pose.

        Faces of frames with lens distortion get their pose on the CPU.

        Raises:
            DeviceError: too little memory.
            CameraError: a singular camera matrix.
        """
        landmarks = self._dense.head_landmarks(self.params)
        scale = self._scale(landmarks)
        pose = self.metric_pose()
        sellions = landmarks[:, SELLION]
        with needs_memory(f"the vertices of {len(self)} faces"):
            return self._dense.vertices_metric(self._heads(), pose, sellions, scale, half)

    def metric_pose(self) -> DevicePose:
        """Compute the poses of the heads in the camera optical frame, at the size of the model."""
        import torch

        heads = self._dense.head_landmarks(self.params)
        rotation = rotations(self.params[:, :12].reshape(-1, 3, 4))
        lenses = np.array([pinhole(lens) for lens in self.intrinsics]).reshape(-1, 5)[self.index]
        cameras = torch.from_numpy(lenses).to(heads.device)
        pose = metric_poses(heads, self.landmarks, rotation, cameras, self.landmark_sigma)
        for i, lens in enumerate(self.intrinsics):
            rows = np.flatnonzero(self.index == i)
            if lens.distorted and len(rows):
                self._fit_on_host(pose, rows, heads, rotation, lens)
        return pose

    def _fit_on_host(
        self,
        pose: DevicePose,
        rows: NDArray[np.intp],
        heads: Tensor,
        rotation: Tensor,
        lens: Intrinsics,
    ) -> None:
        """Replace the poses of faces of a camera with lens distortion."""
        import torch

        chosen = torch.from_numpy(rows).to(heads.device)
        sigma = self.landmark_sigma
        values = [heads, self.landmarks, rotation, *([] if sigma is None else [sigma])]
        head, seen, turned, *sigmas = (value[chosen].cpu().numpy() for value in values)
        fits = metric_fits(head, seen, turned, lens, sigmas[0] if sigmas else None)
        for row, fit, face in zip(rows.tolist(), fits, head.astype(np.float64), strict=True):
            if isinstance(fit, CameraError):
                pose.sellion[row] = float("nan")
                continue
            pose.rotation[row] = torch.tensor(fit.rotation)
            pose.sellion[row] = torch.tensor(fit.rotation @ face[SELLION] + fit.translation)

    def _heads(self) -> Tensor:
        if "heads" not in self._kept:
            self._kept["heads"] = self._dense.heads(self.params)
        return self._kept["heads"]

    def _scale(self, landmarks: Tensor) -> Tensor:
        """Return the sizes (n,) relative to the model's; see :func:`tddfa_ros.geometry.scale.scale_from_interpupillary_distance`."""
        span = (landmarks[:, 36:42].mean(dim=1) - landmarks[:, 42:48].mean(dim=1)).double()
        span = span.norm(dim=1)
        distance = self._interpupillary_distance
        known = span > (1e-4 if distance > 0 else float("inf"))
        return (distance / span).where(known, span.new_ones(()))


class DevicePipeline:
    """Reconstruct the faces of batches of frames on one device. Not thread-safe.

    `FacePipeline` for batches, without detection: frames go to the device once, as uint8; crops, network, landmarks and dense
    vertices are computed there. Needs PyTorch, and onnxruntime-gpu for a GPU. On the CPU the same code runs and gives
    the values of `FacePipeline`, but more slowly.

    Args:
        config: ``regression`` (with an engine of ``tddfa trt`` as ``regression.model`` for TensorRT) and ``camera`` are used; None for the
            defaults.
        store: provides the models; None for those of this package.
        device: ``cuda``, ``cpu``, or ``auto`` for the GPU if it can be used; None for ``regression.device``.
        max_batch: largest number of faces that the network takes at once.

    Attributes:
        model: the morphable model.
        device: the ``torch.device``.

    Raises:
        DeviceError: PyTorch is missing, or the device cannot be used.
        ModelError: a model is missing or damaged.
    """

    def __init__(
        self,
        config: PipelineConfig | None = None,
        store: ModelStore | None = None,
        *,
        device: str | None = None,
        max_batch: int = 256,
    ) -> None:
        self.config = config or PipelineConfig()
        store = store or default_store()
        chosen = self.config.regression
        self.device = torch_device(device or chosen.device)
        self.model = MorphableModel.load(store.path(store.morphable_model(chosen)))
        dense = DeviceDense(self.model, self.device)
        path = regression_network(replace(chosen, device=self.device.type), store)
        self._regressor = DeviceRegressor(path, dense, max_batch, chosen.threads)
        self._dense = dense
        self._uploads, self._downloads = StagingBuffers(self.device), StagingBuffers(self.device)

    @property
    def provider(self) -> str:
        """Execution provider of the regression network, as ONNX Runtime reports it."""
        return self._regressor.provider

    @property
    def allocations(self) -> int:
        """How many times buffers for frames and downloads were allocated; constant once the largest batch has passed."""
        return self._uploads.allocations + self._downloads.allocations

    def align(
        self,
        frames: Sequence[ImageBGR] | Tensor,
        boxes: Sequence[RealArray],
        intrinsics: Sequence[Intrinsics] | None = None,
    ) -> DeviceFaces:
        """Fit faces to detector boxes in two passes, as `FacePipeline.align`.

        Args:
            frames: (H, W, 3) uint8 BGR arrays of any sizes, or a tensor (b, H, W, 3) uint8, on the device or not.
            boxes: (n, 4 or more) ``x0, y0, x1, y1 ...`` of each frame, image px.
            intrinsics: of each frame; None assumes the configured field of view.

        Raises:
            ImageError: a frame or a box cannot be used.
            DeviceError: the device failed.
        """
        return self._reconstruct(frames, boxes, intrinsics, refine=True)

    def regress(
        self,
        frames: Sequence[ImageBGR] | Tensor,
        rois: Sequence[RealArray],
        intrinsics: Sequence[Intrinsics] | None = None,
    ) -> DeviceFaces:
        """Fit faces to square ROIs (n, 4) of each frame in one pass, as `FacePipeline.regress`; see :meth:`align`."""
        return self._reconstruct(frames, rois, intrinsics, refine=False)

    def download(self, *tensors: Tensor) -> Download:
        """Start copying tensors to the host, through two buffers that are used in turn.

        Call :meth:`Download.arrays` after the next batch was started: the copy runs while the device computes.
        """
        return self._downloads.download(tensors)

    def _reconstruct(
        self,
        frames: Sequence[ImageBGR] | Tensor,
        places: Sequence[RealArray],
        intrinsics: Sequence[Intrinsics] | None,
        refine: bool,
    ) -> DeviceFaces:
        import torch

        rows = [rows_of_four(part, "faces") for part in places]
        if len(frames) != len(rows) or (intrinsics is not None and len(intrinsics) != len(rows)):
            raise ImageError(
                f"{len(frames)} frames need as many lists of faces and intrinsics, not {len(rows)}"
            )
        index = np.repeat(np.arange(len(rows)), [len(part) for part in rows])
        given = np.concatenate([np.zeros((0, 4)), *rows])
        with needs_memory(f"{len(frames)} frames"):
            on_device = upload_frames(frames, self._uploads)
        rois = roi_from_box(given) if refine else given
        found = self._regressor(on_device, index, rois)
        if refine:
            xy = self._image_landmarks(found.params, rois)[..., :2]
            corners = torch.stack([xy.amin(dim=1), xy.amax(dim=1)], dim=1)
            rois = roi_from_landmarks(corners.cpu().numpy())
            found = self._regressor(on_device, index, rois)
        sigma = found.crop_sigma
        if sigma is not None:
            sides = torch.from_numpy((rois[:, 2] - rois[:, 0]) / CROP_FRAME).to(self.device)
            sigma = (sigma * sides[:, None]).float()
        fov = self.config.camera.assumed_fov_deg
        return DeviceFaces(
            index,
            rois,
            found.params,
            found.confidence,
            self._image_landmarks(found.params, rois),
            sigma,
            intrinsics or [Intrinsics.from_fov(w, h, fov) for w, h in on_device.sizes.tolist()],
            self._dense,
            self.config.camera.interpupillary_distance,
        )

    def _image_landmarks(self, params: Tensor, rois: DoubleArray) -> Tensor:
        import torch

        return self._dense.landmarks(params, torch.from_numpy(rois).to(self.device))
