"""Train a network: one-cycle AdamW, an average of the weights, checkpoints that go on exactly, logs and pictures."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from tddfa_ros.errors import ConfigError
from tddfa_ros.interrupt import StopRequest, ignore_interrupts
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.rendering.parsing import CLASSES
from tddfa_ros.training import checkpoint as checkpoints
from tddfa_ros.training.augment import Augment
from tddfa_ros.training.cache import FaceCache
from tddfa_ros.training.config import TrainConfig
from tddfa_ros.training.dataset import (
    Batch,
    CropSampler,
    FaceDataset,
    UvTarget,
    held_out_rows,
    sampling_weights,
)
from tddfa_ros.training.distributed import Workers
from tddfa_ros.training.logs import RunLog
from tddfa_ros.training.losses import (
    FaceLoss,
    MetaJoint,
    balanced_weights,
    candidate_weights,
    crop_pixels,
    vertex_distance_cost,
)
from tddfa_ros.training.networks import FaceNet, normalize
from tddfa_ros.training.onnx_weights import estimate_normalization
from tddfa_ros.training.optim import EMA, TrainState, one_cycle
from tddfa_ros.training.selection import select_trained
from tddfa_ros.training.validation import Validation

_NORM_BATCHES = 24  # from which batch normalizations of an exported network are estimated
_CLIP = 5.0  # largest norm of a gradient
_LOOK_AHEAD_FACES = 512  # on which a look-ahead of the meta-joint optimisation is scored


class Trainer:
    """Owns network, optimiser and schedule; :meth:`run` trains to the last epoch, from a checkpoint if there is one.

    Args:
        cache: what to train on; its held-out rows are for validation, unless ``validation`` is given: then nothing is held out.
        folder: for the checkpoint, ``log.csv``, TensorBoard's events and pictures.
        start: a checkpoint whose weights to begin with, where there is no run to resume.
        workers: this process among others; None: alone, on the configured device.

    Raises:
        ConfigError: too little to train on, or an unavailable device or option.
    """

    def __init__(
        self,
        config: TrainConfig,
        cache: FaceCache,
        model: MorphableModel,
        folder: Path,
        *,
        validation: FaceCache | None = None,
        start: Path | None = None,
        workers: Workers | None = None,
    ) -> None:
        torch.manual_seed(config.seed)
        torch.set_num_threads(config.threads)
        self.config, self.folder = config, folder
        self._workers = workers or Workers(0, 1, torch.device("cpu"))
        device = self._workers.device
        if config.amp and device.type == "cuda" and not torch.cuda.is_bf16_supported():
            raise ConfigError("amp needs bfloat16, which this GPU does not have: train without it")
        if validation is not None:
            cache = replace(cache, held_out=np.zeros(len(cache), dtype=np.bool_))
        share = sampling_weights(cache, config.negatives, config.profile_boost)
        faces = np.flatnonzero(cache.face & (share > 0))
        samples = config.samples or len(faces)
        self._sampler = CropSampler(
            share,
            samples,
            config.batch,
            config.seed,
            self._workers.rank,
            self._workers.count,
            config.clips,
        )
        if self._sampler.steps == 0:
            raise ConfigError(
                f"there are {samples} faces to train on, fewer than one batch of {config.batch * self._workers.count}"
            )
        augment = Augment(config.augment, model, config.input_size)
        self._loader = DataLoader(
            FaceDataset(cache, model, augment, config.seed, config.input_size),
            batch_size=config.batch,
            sampler=self._sampler,
            num_workers=config.workers,
            persistent_workers=config.workers > 0,
            prefetch_factor=16 if config.workers else None,
            worker_init_fn=ignore_interrupts,
            pin_memory=device.type == "cuda",
            # else every epoch begun, or resumed, would take a number from torch's own generator
            generator=torch.Generator().manual_seed(config.seed),
        )
        mean, std = whitening(cache.params[faces])
        self.network = checkpoints.new_network(config, mean, std)
        classes = _class_weights(cache) if config.parsing else None
        weights = config.loss if config.clips > 0 else replace(config.loss, steady=0.0)
        self._loss = FaceLoss(model, std, weights, class_weights=classes)
        self.network.start_at(crop_pixels(self._loss.points(mean[None])[0, :68]))
        if start is not None and not self.checkpoint.is_file():
            left = checkpoints.start_from(self.network, start)
            if start.suffix == ".onnx":
                estimate_normalization(self.network, self._some_crops(cache, model))
            if self._workers.first:
                tqdm.write(f"begun with {start}; new: {', '.join(left) or 'nothing'}")
        self.network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._loss.to(device)
        self._uv = UvTarget(model).to(device) if config.uv_position else None
        trained = select_trained(self.network, config, model.layout)
        # what is trained only in part must not decay where it is not
        decay = config.weight_decay if config.train_only == "all" else 0.0
        self._optimiser = torch.optim.AdamW(trained, lr=config.learning_rate, weight_decay=decay)
        self._ema = EMA(self.network, config.ema_half_life)
        self._parallel = self._workers.wrap(self.network)
        self._state = TrainState()
        self._topology = model.topology_id
        held = cache if validation is None else validation
        rows = None if validation is None else np.arange(len(validation))
        self._validation = Validation(
            FaceDataset(held, model, None, config.seed, config.input_size),
            held_out_rows(held, face=True) if rows is None else rows[held.face],
            held_out_rows(held, face=False) if rows is None else rows[~held.face],
            self._loss.points,
            device,
        )
        self._meta = self._meta_joint(model, std) if config.meta_joint else None
        self._log = RunLog(folder, write=self._workers.first)

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.pt"

    def averaged(self) -> FaceNet:
        """The network with averaged weights, in evaluation mode."""
        network = copy.deepcopy(self.network)
        network.load_state_dict(self._ema.weights)
        return network.eval()

    def run(self) -> None:
        """Train to the last epoch; after each: validation, a line in ``log.csv``, a picture, a checkpoint.

        Raises:
            ConfigError: the checkpoint was begun with another configuration, or is not a checkpoint.
            KeyboardInterrupt: it was asked to stop, and has saved where it is; running again goes on from there.
        """
        if self.checkpoint.is_file():
            self._restore()
        with StopRequest() as stop, self._log:
            for epoch in range(self._state.epoch, self.config.epochs):
                if self._progress >= 1:
                    break
                started = time.monotonic()
                for _ in self._steps(epoch):
                    if self._workers.any(stop.requested):
                        self._save()
                        raise KeyboardInterrupt
                self._end_epoch(epoch, (time.monotonic() - started) / 60)

    def validate(self) -> float:
        """Mean distance of the mesh's 68 landmarks of held-out faces from their labels, % of the face size."""
        return self._validation(self.averaged())["nme_validation"]

    def _some_crops(self, cache: FaceCache, model: MorphableModel) -> Iterator[Tensor]:
        """A few batches as training draws them."""
        augment = Augment(self.config.augment, model, self.config.input_size)
        crops = FaceDataset(cache, model, augment, self.config.seed, self.config.input_size)
        draws = iter(self._sampler)
        for _ in range(min(_NORM_BATCHES, self._sampler.steps)):
            chosen = [crops[next(draws)]["image"] for _ in range(self.config.batch)]
            yield normalize(torch.stack(chosen))

    def _steps(self, epoch: int) -> Iterator[None]:
        """One epoch, or what is left of it; yields where it may be stopped."""
        self._sampler.epoch, self._sampler.first_step = epoch, self._state.step
        progress = tqdm(
            self._loader,
            desc=f"epoch {epoch + 1}/{self.config.epochs}",
            mininterval=2,
            initial=self._state.step,
            total=self._sampler.steps,
            disable=not self._workers.first,
        )
        if self._meta is not None:
            for choice in self._meta.run(progress):
                progress.set_postfix(chosen=choice.name)
                self._state.add(
                    {f"chosen_{n}": torch.tensor(float(n == choice.name)) for n in choice.scores}
                )
                yield
            return
        before = time.monotonic()
        for batch in progress:
            total = self._step(self._loss, batch)
            now = time.monotonic()
            if self.config.minutes > 0:
                self._state.seconds += now - before
            before = now
            if self._state.step % 20 == 0:
                progress.set_postfix(loss=f"{float(total):.3f}")
            yield
            if self._workers.any(self._progress >= 1):
                return

    @property
    def _progress(self) -> float:
        """Share of the run that is over: of its steps or, with a budget of minutes, of its time."""
        config, state = self.config, self._state
        done = (state.epoch + state.step / self._sampler.steps) / config.epochs
        return max(done, state.seconds / 60 / config.minutes) if config.minutes > 0 else done

    def _step(self, loss: FaceLoss, batch: Batch) -> Tensor:
        """One step of the optimiser, and its loss."""
        config, device = self.config, self._workers.device
        progress = min(self._progress, 1.0)
        rate = config.learning_rate * one_cycle(progress, config.warmup_epochs / config.epochs)
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        batch = {name: value.to(device, non_blocking=True) for name, value in batch.items()}
        if self._uv is not None:
            batch["uv_position"] = self._uv(batch["params"])
        self._parallel.train()
        with torch.autocast(device.type, torch.bfloat16, enabled=config.amp):
            predictions = self._parallel(normalize(batch["image"]))
        total, terms = loss(predictions, batch, progress)
        self._optimiser.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), _CLIP)
        self._optimiser.step()
        self._ema.update(self.network)
        self._state.step += 1
        self._state.add({**terms, "total": total.detach()})
        return total.detach()

    def _meta_joint(self, model: MorphableModel, std: Tensor) -> MetaJoint[Batch]:
        """3DDFA_V2's look-ahead between fWPDC and VDC, scored by the VDC of held-out faces."""
        shared = {"points": self._loss.points, "class_weights": self._loss.class_weights}
        losses = {
            name: FaceLoss(model, std, weights, **shared).to(self._workers.device)
            for name, weights in candidate_weights(self.config.loss).items()
        }

        def score() -> float:
            found, wanted = self._validation.params(self.network.eval(), _LOOK_AHEAD_FACES)
            return self._workers.mean(float(vertex_distance_cost(self._loss.points, found, wanted)))

        parts = (self.network, self._optimiser, self._ema, self._state)
        return MetaJoint(
            parts,
            lambda name, batch: self._step(losses[name], batch),
            score,
            self.config.meta_joint,
        )

    def _end_epoch(self, epoch: int, minutes: float) -> None:
        figures: dict[str, Any] = {"epoch": epoch + 1}
        means = self._state.end_epoch()
        figures |= {name: self._workers.mean(value) for name, value in means.items()}
        if not self._workers.first:
            return
        network = self.averaged()
        figures |= self._validation(network)
        figures["minutes"] = minutes
        self._log.write(figures)
        self._log.picture(epoch + 1, self._validation.picture(network))
        self._save()

    def _save(self) -> None:
        """Write the checkpoint; of several processes the first does."""
        if not self._workers.first:
            return
        checkpoints.save(
            self.checkpoint,
            {
                **self._begun_with(),
                "network": self.network.state_dict(),
                "average": self._ema.state_dict(),
                "optimiser": self._optimiser.state_dict(),
                "clock": self._state.state_dict(),
                "rng": torch.get_rng_state(),
            },
        )

    def _begun_with(self) -> dict[str, Any]:
        """What must be the same where a run goes on."""
        return {
            "config": asdict(self.config),
            "topology_id": self._topology,
            "steps_per_epoch": self._sampler.steps,
        }

    def _restore(self) -> None:
        state = checkpoints.load(self.checkpoint)
        checkpoints.check_same_run(self.checkpoint, state, self._begun_with())
        self.network.load_state_dict(state["network"])
        self._optimiser.load_state_dict(state["optimiser"])
        self._ema.load_state_dict(state["average"])
        # the schedule is a function of progress, so a run may go on with more or fewer epochs
        self._state.load_state_dict(state["clock"])
        torch.set_rng_state(state["rng"])


def whitening(params: np.ndarray) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (P,) of each parameter, the latter with a floor for coefficients that hardly vary."""
    mean, std = params.mean(axis=0), params.std(axis=0)
    return torch.from_numpy(mean), torch.from_numpy(np.maximum(std, 0.02).astype(np.float32))


def _class_weights(cache: FaceCache, most: int = 500) -> Tensor | None:
    """Balance of the parsing classes, from some of the maps."""
    if cache.parsing is None:
        return None
    rows = np.linspace(0, len(cache) - 1, min(most, len(cache))).astype(int)
    pixels = sum(np.bincount(cache.parsing[row].ravel(), minlength=256) for row in rows)
    return balanced_weights(np.asarray(pixels)[: len(CLASSES)].tolist())
