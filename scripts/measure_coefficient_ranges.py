"""Measure the percentiles of ARKit's coefficients as a network predicts them, and print ``COEFFICIENT_RANGES`` for tddfa_ros/arkit.py.

    python scripts/measure_coefficient_ranges.py --cache DIR [--network tddfa-mb05] [--faces 8000]

The faces come from a training cache and are cropped by their labels as the tracker crops them. Left and right sides are pooled.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from tqdm import tqdm

from tddfa_ros.arkit import ARKIT_NAMES, without_side
from tddfa_ros.cli._common import load_morphable
from tddfa_ros.model_store.store import default_store
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.regression.regressor import Regressor
from tddfa_ros.training.cache import FaceCache, open_cache
from tddfa_ros.training.framing import landmark_frame, reframe
from tddfa_ros.types import FloatArray

_BATCH = 64
_PERCENTILES = (10, 50, 98, 99.5)


def regress(
    cache: FaceCache, model: MorphableModel, regressor: Regressor, count: int
) -> FloatArray:
    """Regress the expression coefficients (n, E) of at most ``count`` random faces."""
    rows = np.flatnonzero(cache.face & ~cache.held_out & (cache.weight > 0))
    rows = np.sort(np.random.default_rng(0).permutation(rows)[:count])
    seen = []
    for start in tqdm(range(0, len(rows), _BATCH), unit="batch", desc="faces"):
        crops = []
        for row in rows[start : start + _BATCH]:
            zoom, shift = landmark_frame(model, cache.params[row])
            image = np.asarray(cache.images[row])
            crops.append(reframe(image, cache.params[row], 0.0, zoom, shift, size=regressor.input_size)[0])  # fmt: skip
        seen.append(regressor(np.stack(crops)).params[:, model.layout.expression_slice])
    return np.concatenate(seen)


def lines(names: tuple[str, ...], seen: FloatArray) -> list[str]:
    """Format the entries of the table, in ARKit order without sides."""
    found = np.percentile(seen, _PERCENTILES, axis=0).T
    table = []
    for name in dict.fromkeys(map(without_side, ARKIT_NAMES)):
        sides = [i for i, full in enumerate(names) if without_side(full) == name]
        values = np.maximum(found[sides].mean(axis=0), 0).round(3)
        table.append(f'        "{name}": CoefficientRange({", ".join(f"{v:g}" for v in values)}),')
    return table


def main() -> None:
    """Run the measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--cache", type=Path, required=True, help="training cache")
    parser.add_argument(
        "--morphable-model", default="tddfa-head", help="a name in the model list, or an .npz file"
    )
    parser.add_argument("--network", default="tddfa-mb05", help="a name or an .onnx file")
    parser.add_argument("--faces", type=int, default=8000)
    options = parser.parse_args()
    model = load_morphable(options.morphable_model)
    given = Path(options.network)
    path = given if given.suffix == ".onnx" else default_store().path(options.network)
    cache = open_cache(options.cache, model)
    seen = regress(cache, model, Regressor(path, model), options.faces)
    print("\n".join(lines(model.expression_names, seen)))


if __name__ == "__main__":
    main()
