"""Train the regressor: AdamW with a one-cycle learning rate, EMA of the weights, exact resuming, logs and overlays."""

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
from tqdm import tqdm

from tddfa_ros.errors import ConfigError
from tddfa_ros.interrupt import StopRequest
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.training import checkpoint as checkpoints
from tddfa_ros.training.cache import FaceCache
from tddfa_ros.training.config import TrainConfig
from tddfa_ros.training.dataset import Batch, UvTarget
from tddfa_ros.training.initial_weights import estimate_normalization, start_from
from tddfa_ros.training.loading import class_weights, training_data, validation_rows, whitening
from tddfa_ros.training.logs import RunLog
from tddfa_ros.training.losses.distance_costs import vertex_distance_cost
from tddfa_ros.training.losses.face_loss import FaceLoss
from tddfa_ros.training.losses.meta_joint import MetaJoint, candidate_weights
from tddfa_ros.training.losses.terms import crop_pixels
from tddfa_ros.training.networks import FaceNet, normalize
from tddfa_ros.training.optim import (
    EMA,
    TrainState,
    one_cycle,
    restore_run,
    run_state,
    select_trained,
)
from tddfa_ros.training.processes import Workers
from tddfa_ros.training.validation import Validation

_NORM_BATCHES = 24  # from which the batch normalization of an exported network is estimated
_CLIP = 5.0  # largest norm of the gradient
_UV_FACES = 1000  # whose UV position maps give the basis of that head
_LOOK_AHEAD_FACES = 512  # held-out faces that score a look-ahead of the meta-joint optimization


class Trainer:
    """Own network, optimizer and schedule of one run; :meth:`run` trains to the last epoch, from the checkpoint if there is one.

    Args:
        config: options of the run.
        cache: training data; its held-out rows are for validation, unless ``validation`` is given: then nothing is held out.
        model: morphable model of the labels.
        folder: for the checkpoint, ``log.csv``, TensorBoard events and overlays.
        validation: cache to validate on.
        start: checkpoint or ONNX file with the initial weights, for a run that is not resumed.
        workers: this process among others; None: alone, on the CPU.

    Raises:
        ConfigError: there is too little data, or a device or option is not available.
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
        self._data = training_data(cache, model, config, self._workers)
        mean, std = whitening(cache.params[self._data.faces])
        self.network = checkpoints.new_network(config, mean, std)
        classes = class_weights(cache) if config.parsing else None
        weights = config.loss if config.clips > 0 else replace(config.loss, steady=0.0)
        self._loss = FaceLoss(model, std, weights, class_weights=classes)
        self.network.start_at(crop_pixels(self._loss.points(mean[None])[0, :68]))
        self._uv = UvTarget(model) if config.uv_position else None
        if self._uv is not None and self.network.uv_head is not None:
            rows = self._data.faces[:: max(1, len(self._data.faces) // _UV_FACES)]
            self.network.uv_head.start_at(self._uv(torch.from_numpy(cache.params[rows])))
        if start is not None and not self.checkpoint.is_file():
            self._initialize(start)
        self.network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._loss.to(device)
        if self._uv is not None:
            self._uv.to(device)
        trained = select_trained(self.network, config, model.layout)
        # weight decay would also change the rows of a matrix that are not trained
        decay = config.weight_decay if config.train_only in ("all", "maps") else 0.0
        self._optimizer = torch.optim.AdamW(trained, lr=config.learning_rate, weight_decay=decay)
        self._ema = EMA(self.network, config.ema_half_life)
        self._parallel = self._workers.wrap(self.network)
        self._state = TrainState()
        self._topology = model.topology_id
        held_out = cache if validation is None else validation
        faces, others = validation_rows(held_out, everything=validation is not None)
        self._validation = Validation(
            held_out, model, config, faces, others, self._loss.points, device
        )
        self._meta = self._meta_joint(model, std) if config.meta_joint else None
        self._log = RunLog(folder, write=self._workers.first)

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.pt"

    def averaged(self) -> FaceNet:
        """Return the network with EMA weights, in evaluation mode."""
        network = copy.deepcopy(self.network)
        network.load_state_dict(self._ema.weights)
        return network.eval()

    def run(self) -> None:
        """Train to the last epoch; each epoch ends with validation, a row in ``log.csv``, an overlay and a checkpoint.

        Raises:
            ConfigError: the checkpoint was begun with another configuration, or is not a checkpoint.
            KeyboardInterrupt: an interrupt was requested; the state is saved, and :meth:`run` resumes from it.
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
        """Return the mean distance of the mesh's 68 landmarks of held-out faces from their labels, % of the face size."""
        return self._validation(self.averaged())["nme_validation"]

    def _initialize(self, start: Path) -> None:
        new = start_from(self.network, start)
        if start.suffix == ".onnx":
            crops = self._data.first_batches(_NORM_BATCHES)
            estimate_normalization(self.network, (normalize(image) for image in crops))
        if self._workers.first:
            tqdm.write(f"initialized from {start}; new: {', '.join(new) or 'nothing'}")

    def _steps(self, epoch: int) -> Iterator[None]:
        """Run the remaining steps of an epoch; yields where the run may be interrupted."""
        batches = self._data.batches(epoch, self._state.step)
        progress = tqdm(
            batches,
            desc=f"epoch {epoch + 1}/{self.config.epochs}",
            mininterval=2,
            initial=self._state.step,
            total=self._data.steps,
            disable=None if self._workers.first else True,
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
        """Completed share of the run: of its steps or, with a time budget, of its time."""
        config, state = self.config, self._state
        done = (state.epoch + state.step / self._data.steps) / config.epochs
        return max(done, state.seconds / 60 / config.minutes) if config.minutes > 0 else done

    def _step(self, loss: FaceLoss, batch: Batch) -> Tensor:
        """Take one optimizer step and return its loss."""
        config, device = self.config, self._workers.device
        progress = min(self._progress, 1.0)
        rate = config.learning_rate * one_cycle(progress, config.warmup_epochs / config.epochs)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        batch = {name: value.to(device, non_blocking=True) for name, value in batch.items()}
        if self._uv is not None:
            batch["uv_position"] = self._uv(batch["params"])
        self._parallel.train()
        with torch.autocast(device.type, torch.bfloat16, enabled=config.amp):
            predictions = self._parallel(normalize(batch["image"]))
        total, terms = loss(predictions, batch, progress)
        self._optimizer.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), _CLIP)
        self._optimizer.step()
        self._ema.update(self.network)
        self._state.step += 1
        self._state.add({**terms, "total": total.detach()})
        return total.detach()

    def _meta_joint(self, model: MorphableModel, std: Tensor) -> MetaJoint[Batch]:
        """Set up 3DDFA_V2's look-ahead between fWPDC and VDC, scored by the VDC of held-out faces."""
        shared: dict[str, Any] = {
            "points": self._loss.points,
            "class_weights": self._loss.class_weights,
        }
        losses = {
            name: FaceLoss(model, std, weights, **shared).to(self._workers.device)
            for name, weights in candidate_weights(self.config.loss).items()
        }

        def score() -> float:
            found, wanted = self._validation.params(self.network.eval(), _LOOK_AHEAD_FACES)
            return self._workers.mean(float(vertex_distance_cost(self._loss.points, found, wanted)))

        return MetaJoint(
            self._parts,
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
        self._log.overlay(epoch + 1, self._validation.overlay(network))
        self._save()

    def _save(self) -> None:
        """Write the checkpoint, in the first process only."""
        if not self._workers.first:
            return
        checkpoints.save(
            self.checkpoint,
            {**self._identity(), **run_state(*self._parts)},
        )

    @property
    def _parts(self) -> tuple[FaceNet, torch.optim.Optimizer, EMA, TrainState]:
        """Everything that training changes."""
        return self.network, self._optimizer, self._ema, self._state

    def _identity(self) -> dict[str, Any]:
        """Return what must be equal to resume a run."""
        return {
            "config": asdict(self.config),
            "topology_id": self._topology,
            "steps_per_epoch": self._data.steps,
        }

    def _restore(self) -> None:
        state = checkpoints.load(self.checkpoint)
        state["config"] = checkpoints.complete_config(state["config"])
        checkpoints.check_same_run(self.checkpoint, state, self._identity())
        # the schedule is a function of progress, so a run may be resumed with more or fewer epochs
        restore_run(state, *self._parts)
