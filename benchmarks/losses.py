"""Ablation of the loss terms: the same short training run with the same seed, once per setting.

    python benchmarks/losses.py --cache DIR --epochs 4 --faces 4000     # prints Markdown, writes out/losses.md

Each run trains a network from scratch on the same faces in the same order with the same augmentation; only the loss differs. The
figure is the validation NME: mean distance of the mesh's 68 landmarks of held-out faces to their labels, % of the face size; with
several seeds, the median. Differences smaller than those between seeds are not significant, and short runs favor losses that
converge fast at the start.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from tqdm import tqdm

from tddfa_ros.cli._common import load_morphable
from tddfa_ros.geometry.pose import to_crop
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.rendering.parsing import render_parsing
from tddfa_ros.training.cache import MARGIN, FaceCache, open_cache
from tddfa_ros.training.config import TrainConfig
from tddfa_ros.training.loss_weights import TERMS, LossWeights
from tddfa_ros.types import POSE_SIZE

# At the end of a short run VDC is about 10 px^2 and WPDC a few hundredths; these weights scale both to the terms in px.
_VDC, _WPDC = 0.1, 10.0
_ROBUST = {"vertices": 1.0, "lmk": 1.0}
_DEFAULT = {**_ROBUST, "coefficients": 0.5, "direct": 1.0}
_LOOK_AHEADS = 20


@dataclass(frozen=True)
class Setting:
    """One row: weights of the loss terms, other options that differ from the common configuration, required cache contents."""

    weights: dict[str, float]
    options: dict[str, Any] = field(default_factory=dict)
    needs: str = ""

    def config(self, common: TrainConfig, steps: int) -> TrainConfig:
        """Return the configuration of a run of ``steps`` steps."""
        options = dict(self.options)
        if options.get("meta_joint"):
            options["meta_joint"] = max(1, min(options["meta_joint"], steps // _LOOK_AHEADS))
        return replace(common, loss=LossWeights.only(**self.weights), **options)


_META = {"meta_joint": 100}
SETTINGS = {
    "vertices + lmk": Setting(_ROBUST),
    "vertices + lmk + coefficients": Setting({**_ROBUST, "coefficients": 0.5}),
    "**default**: vertices + lmk + coefficients + direct": Setting(_DEFAULT),
    "VDC": Setting({"vdc": _VDC}),
    "WPDC": Setting({"wpdc": _WPDC}),
    "fWPDC": Setting({"fwpdc": _WPDC}),
    "fWPDC + VDC": Setting({"fwpdc": _WPDC, "vdc": _VDC}),
    "meta-joint of fWPDC and VDC": Setting({"fwpdc": _WPDC, "vdc": _VDC}, _META),
    "meta-joint + direct (3DDFA_V2)": Setting({"fwpdc": _WPDC, "vdc": _VDC, "direct": 1.0}, _META),
    "default + VDC": Setting({**_DEFAULT, "vdc": _VDC}),
    "default + fWPDC": Setting({**_DEFAULT, "fwpdc": _WPDC}),
    "default + seg": Setting({**_DEFAULT, "seg": 0.5}, {"parsing": True}, needs="parsing"),
    "default + uv": Setting({**_DEFAULT, "uv": 0.5}, {"uv_position": True}),
    "default + confidence": Setting(
        {**_DEFAULT, "confidence": 1.0}, {"confidence": True, "negatives": 0.12}, needs="negatives"
    ),
}


@dataclass(frozen=True)
class Result:
    """NME of every seed, %, and mean duration of a run; ``note`` is the reason if it was not measured."""

    nme: tuple[float, ...] = ()
    minutes: float = 0.0
    note: str = ""


def sample(cache: FaceCache, faces: int, held_out: int, seed: int = 0) -> FaceCache:
    """Return a subset with at most ``faces`` training and ``held_out`` validation faces, and negatives in proportion."""
    rng = np.random.default_rng(seed)
    share = min(1.0, faces / max(1, int((cache.face & ~cache.held_out).sum())))

    def some(rows: np.ndarray, most: int) -> np.ndarray:
        return rng.permutation(np.flatnonzero(rows))[:most]

    others = int(share * (~cache.face & ~cache.held_out).sum())
    kept = [
        some(cache.face & ~cache.held_out, faces),
        some(cache.face & cache.held_out, held_out),
        some(~cache.face & ~cache.held_out, others),
    ]
    rows = np.sort(np.concatenate(kept))
    arrays = {f.name: getattr(cache, f.name) for f in fields(cache)}
    return FaceCache(**{k: v if v is None else np.asarray(v[rows]) for k, v in arrays.items()})


def with_parsing(cache: FaceCache, model: MorphableModel) -> FaceCache:
    """Return the cache with segmentation maps, rendered from the labels if it has none."""
    if cache.parsing is not None:
        return cache
    drawn = np.zeros(cache.images.shape[:3], dtype=np.uint8)
    for row in tqdm(np.flatnonzero(cache.face), desc="seg maps", unit="face"):
        params = cache.params[row]
        vertices = to_crop(model.head(params), params[:POSE_SIZE].reshape(3, 4))
        vertices[:, :2] += MARGIN
        drawn[row] = render_parsing(model, vertices, drawn.shape[1:])
    return replace(cache, parsing=drawn)


def missing(setting: Setting, cache: FaceCache) -> str:
    """Return why the cache does not support a setting, or an empty string."""
    if setting.needs == "negatives" and cache.face.all():
        return "the cache has no crops without a face"
    return ""


def measure(
    setting: Setting,
    common: TrainConfig,
    cache: FaceCache,
    model: MorphableModel,
    seeds: Sequence[int],
) -> Result:
    """Train once per seed."""
    from tddfa_ros.training.trainer import Trainer

    if note := missing(setting, cache):
        return Result(note=note)
    started = time.monotonic()
    nme = []
    for seed in seeds:
        config = replace(setting.config(common, steps_of(common, cache)), seed=seed)
        with tempfile.TemporaryDirectory() as folder:
            trainer = Trainer(config, cache, model, Path(folder))
            trainer.run()
            nme.append(trainer.validate())
    return Result(tuple(nme), (time.monotonic() - started) / 60 / len(seeds))


def steps_of(config: TrainConfig, cache: FaceCache) -> int:
    """Return the number of steps of a run."""
    return config.epochs * (int((cache.face & ~cache.held_out).sum()) // config.batch)


def table(results: dict[str, Result], seeds: Sequence[int]) -> str:
    """Format the results as a Markdown table; changes refer to the first row."""
    several = len(seeds) > 1
    lines = [
        f"| loss | weights | validation NME, %{' (median)' if several else ''} | change | "
        f"{'each seed | ' if several else ''}minutes |",
        "|---|---|---:|---:|" + ("---|" if several else "") + "---:|",
    ]
    reference = next((median(r.nme) for r in results.values() if r.nme), None)
    for name, result in results.items():
        weights = SETTINGS[name].weights
        shown = ", ".join(f"{term} {weights[term]:g}" for term in TERMS if term in weights)
        if reference is None or not result.nme:
            lines.append(
                f"| {name} | {shown} | not measured: {result.note} | |{' |' if several else ''} |"
            )
            continue
        value = median(result.nme)
        each = ", ".join(f"{v:.2f}" for v in result.nme) + " | " if several else ""
        lines.append(
            f"| {name} | {shown} | {value:.2f} | {100 * (value / reference - 1):+.1f} % | {each}{result.minutes:.1f} |"
        )
    return "\n".join(lines)


def main() -> int:
    """Run the ablation."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cache", type=Path, required=True, help="training cache")
    parser.add_argument(
        "--morphable-model", default="tddfa-head", help="a name in the model list, or an .npz file"
    )
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--faces", type=int, default=4000, help="faces to train on")
    parser.add_argument("--held-out", type=int, default=600, help="faces to validate with")
    parser.add_argument("--seeds", type=int, default=1, help="runs per setting")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--width", type=float, default=0.5, help="width of the backbone")
    parser.add_argument("--input-size", type=int, default=120, help="side of the crops, px")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--only", nargs="+", default=[""], help="only settings with one of these in their name"
    )
    parser.add_argument("--out", type=Path, default=Path("out/losses.md"))
    options = parser.parse_args()
    model = load_morphable(options.morphable_model)
    cache = sample(open_cache(options.cache, model), options.faces, options.held_out)
    common = TrainConfig(
        width=options.width,
        input_size=options.input_size,
        epochs=options.epochs,
        batch=options.batch,
        threads=options.threads,
        warmup_epochs=0.1 * options.epochs,
        confidence=False,
        negatives=0.0,
    )
    # the EMA horizon must be short compared with a short run
    common = replace(common, ema_half_life=0.02 * steps_of(common, cache))
    seeds = range(options.seeds)
    chosen = {name: s for name, s in SETTINGS.items() if any(part in name for part in options.only)}
    results: dict[str, Result] = {}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    if any(setting.needs == "parsing" for setting in chosen.values()):
        cache = with_parsing(cache, model)
    for name, setting in tqdm(chosen.items(), desc="settings"):
        results[name] = measure(setting, common, cache, model, seeds)
        about = (
            f"{options.faces} faces, {options.epochs} epochs of {common.batch} per step, width {common.width:g}, "
            f"crops of {common.input_size} px, "
            f"{len(seeds)} seed{'s' * (len(seeds) > 1)}"
        )
        options.out.write_text(f"{about}\n\n{table(results, seeds)}\n")
    print("\n" + options.out.read_text())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
