"""Face crops on the device: the sampling of :func:`tddfa_ros.geometry.roi.crop` for all faces of a batch of frames at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tddfa_ros.errors import ImageError
from tddfa_ros.geometry.roi import checked_roi
from tddfa_ros.runtime.torch_device import StagingBuffers
from tddfa_ros.types import DoubleArray, ImageBGR, check_image

if TYPE_CHECKING:
    from torch import Tensor

_LARGEST_GATHER = 1 << 24  # px that are averaged at once, 11 bytes each


class Frames(NamedTuple):
    """Frames of any sizes in device memory, one after another.

    Attributes:
        pixels: (px, 3) uint8 BGR on the device.
        first: (b,) index of the first pixel of each frame.
        sizes: (b, 2) width and height, px.
    """

    pixels: Tensor
    first: NDArray[np.int64]
    sizes: NDArray[np.int64]


def upload_frames(frames: Sequence[ImageBGR] | Tensor, buffers: StagingBuffers) -> Frames:
    """Bring frames to the device.

    Args:
        frames: arrays (H, W, 3) uint8 BGR of any sizes, or one tensor (b, H, W, 3) uint8, which is not copied if it lies on the
            device.
        buffers: for the copy; the result is valid until the second next upload.

    Raises:
        ImageError: a frame of another shape or type.
    """
    if not isinstance(frames, Sequence) and not isinstance(frames, np.ndarray):
        return _tensor_frames(frames, buffers)
    for frame in frames:
        check_image(frame)
    sizes = np.array([frame.shape[1::-1] for frame in frames], np.int64).reshape(-1, 2)
    return Frames(buffers.upload(list(frames)).view(-1, 3), _starts(sizes), sizes)


def _tensor_frames(frames: Tensor, buffers: StagingBuffers) -> Frames:
    import torch

    if frames.dtype != torch.uint8 or frames.ndim != 4 or frames.shape[3] != 3 or not len(frames):
        raise ImageError(
            f"frames must be a tensor (b, H, W, 3) of type uint8, not {tuple(frames.shape)} {frames.dtype}"
        )
    sizes = np.tile(np.array(frames.shape[2:0:-1], np.int64), (len(frames), 1))
    on_device = frames.to(buffers.device, non_blocking=True).contiguous()
    return Frames(on_device.view(-1, 3), _starts(sizes), sizes)


def _starts(sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    ends = np.cumsum(sizes.prod(axis=1), dtype=np.int64)
    return np.concatenate([np.zeros(min(1, len(ends)), np.int64), ends[:-1]])


class _Places(NamedTuple):
    """Where crops are sampled: n images in a buffer, and the position of the first sample and the distance of samples, px."""

    first: NDArray[np.int64]
    sizes: NDArray[np.int64]
    start: DoubleArray
    step: DoubleArray

    def of(self, chosen: NDArray[np.intp]) -> _Places:
        return _Places(
            self.first[chosen], self.sizes[chosen], self.start[chosen], self.step[chosen]
        )


def sample_crops(frames: Frames, index: NDArray[np.intp], rois: DoubleArray, size: int) -> Tensor:
    """Sample crops (n, size, size, 3), float32 with whole values 0..255, of ROIs.

    Bilinear, zero outside the frame, and averaged before by whole blocks where a ROI has at least twice the size of the crop, as
    :func:`tddfa_ros.geometry.roi.crop`. OpenCV 4 rounds coordinates to 1/32 px, this function and OpenCV 5 do not.

    Args:
        frames: the frames.
        index: (n,) frame of each ROI.
        rois: (n, 4) ``x0, y0, x1, y1``, image px.
        size: side of the crops, px.

    Raises:
        ImageError: a ROI is not finite, empty or larger than 100,000 px.
    """
    import torch

    for roi in rois:
        checked_roi(roi)
    step = (rois[:, 2:] - rois[:, :2]) / size
    places = _Places(frames.first[index], frames.sizes[index], rois[:, :2], step)
    blocks = np.maximum(step.min(axis=1).astype(np.int64), 1)
    outside = ((rois[:, :2] > places.sizes) | (rois[:, 2:] < -1)).any(axis=1)
    crops = torch.zeros((len(rois), size, size, 3), device=frames.pixels.device)
    for block in np.unique(blocks[~outside]).tolist():
        for part in _parts(np.flatnonzero((blocks == block) & ~outside), step, block, size):
            pixels, at = frames.pixels, places.of(part)
            if block > 1:
                pixels, at = _reduced(pixels, at, block, size)
            found = _bilinear(pixels, at, size)
            if len(part) == len(crops):
                return found
            crops[torch.from_numpy(part).to(crops.device)] = found
    return crops


def _parts(
    faces: NDArray[np.intp], step: DoubleArray, block: int, size: int
) -> Iterator[NDArray[np.intp]]:
    """Split faces so that the pixels under their ROIs fit into memory."""
    if block == 1:
        yield faces
        return
    area = float(((step[faces] * size + 4 * block).prod(axis=1)).max())
    at_once = max(1, int(_LARGEST_GATHER / area))
    for i in range(0, len(faces), at_once):
        yield faces[i : i + at_once]


def _bilinear(pixels: Tensor, at: _Places, size: int) -> Tensor:
    """Sample (n, size, size, 3) float32, rounded."""
    import torch

    position = (
        at.start[:, None] + at.step[:, None] * np.arange(size)[:, None]
    )  # (n, size, 2), x and y
    whole = np.floor(position)
    fraction = position - whole
    taps = whole.astype(np.int64)[None] + np.arange(2)[:, None, None, None]
    weights = np.stack([1 - fraction, fraction])
    weights *= (taps >= 0) & (taps < at.sizes[:, None])
    taps = np.clip(taps, 0, at.sizes[:, None] - 1)
    columns, rows = taps[..., 0], taps[..., 1] * at.sizes[:, None, 0] + at.first[:, None]
    device = pixels.device
    column, row = torch.from_numpy(columns).to(device), torch.from_numpy(rows).to(device)
    weight = torch.from_numpy(weights.astype(np.float32)).to(device)
    total = torch.full((len(at.first), size, size, 3), 0.5, device=device)
    for j in range(2):
        for i in range(2):
            index = row[j][:, :, None] + column[i][:, None, :]
            found = pixels.index_select(0, index.view(-1)).view(*index.shape, 3)
            factor = weight[j, :, :, 1][:, :, None] * weight[i, :, :, 0][:, None, :]
            total.addcmul_(found.to(torch.float32), factor[..., None])
    return total.floor_()


def _reduced(pixels: Tensor, at: _Places, block: int, size: int) -> tuple[Tensor, _Places]:
    """Average blocks of block x block px under each ROI, as ``cv2.INTER_AREA``; return the averages and places in them."""
    import torch

    start, end = at.start, at.start + at.step * size
    low = np.maximum(0, np.floor(start).astype(np.int64) - block)
    high = np.minimum(at.sizes, np.ceil(end).astype(np.int64) + block)
    high = np.maximum(high, low + 1)
    counts = -(-(high - low) // block)  # (n, 2) blocks
    most = counts.max(axis=0)
    columns, rows = (low[:, i, None] + np.arange(most[i] * block) for i in (0, 1))
    limit = np.minimum(high, at.sizes)
    inside = [(c < limit[:, i, None]) & (c >= 0) for i, c in enumerate((columns, rows))]
    columns = np.clip(columns, 0, at.sizes[:, :1] - 1)
    rows = np.clip(rows, 0, at.sizes[:, 1:] - 1) * at.sizes[:, :1] + at.first[:, None]
    device = pixels.device
    column, row = torch.from_numpy(columns).to(device), torch.from_numpy(rows).to(device)
    mask = [torch.from_numpy(values.astype(np.uint8)).to(device) for values in inside]
    index = row[:, :, None] + column[:, None, :]
    found = pixels.index_select(0, index.view(-1)).view(*index.shape, 3)
    found *= (mask[1][:, :, None] * mask[0][:, None, :])[..., None]
    n, (wide, tall) = len(low), most.tolist()
    total = found.view(n, tall, block, wide, block, 3).sum(dim=(2, 4), dtype=torch.int32)
    if block == 2:
        mean = (total + 2) >> 2
    else:
        mean = (total.to(torch.float32) * (1.0 / block**2)).round_()
    center = (block - 1) / 2
    first = np.arange(n, dtype=np.int64) * (wide * tall)
    # A buffer has rows of equal length, so that the rows of narrow images are too long: their ends are masked, as zeros.
    sizes = np.tile(np.array([[wide, tall]], np.int64), (n, 1))
    places = _Places(first, sizes, (start - low - center) / block, at.step / block)
    return mean.to(torch.uint8).view(-1, 3), places
