"""Train the detector: AdamW with a one-cycle learning rate, EMA of the weights, exact resuming, logs and overlays."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from tddfa_ros.errors import ConfigError, ModelError
from tddfa_ros.interrupt import StopRequest
from tddfa_ros.training import checkpoint as checkpoints
from tddfa_ros.training.detector.config import DetectorConfig
from tddfa_ros.training.detector.data import Batch, DetectorData
from tddfa_ros.training.detector.losses import DetectorLoss
from tddfa_ros.training.detector.network import DetectorNet
from tddfa_ros.training.detector.validation import DetectorValidation
from tddfa_ros.training.logs import RunLog
from tddfa_ros.training.optim import EMA, TrainState, one_cycle, restore_run, run_state

_CLIP = 10.0  # largest norm of the gradient
_SAVE_EVERY_S = 120.0


class DetectorTrainer:
    """Own network, optimizer and schedule of one run; :meth:`run` trains to the last epoch, from the checkpoint if there is one.

    Args:
        config: options of the run.
        data: training images.
        folder: for the checkpoint, ``log.csv``, TensorBoard events and overlays.
        start: checkpoint with the initial weights, for a run that is not resumed.

    Raises:
        ConfigError: ``start`` is not a checkpoint of a detector.
    """

    def __init__(
        self,
        config: DetectorConfig,
        data: DetectorData,
        folder: Path,
        start: Path | None = None,
    ) -> None:
        torch.manual_seed(config.seed)
        torch.set_num_threads(config.threads)
        self.config, self.folder, self._data = config, folder, data
        self.network = DetectorNet(config.channels, config.blocks, config.pyramid)
        if start is not None and not self.checkpoint.is_file():
            self.network.load_state_dict(load_detector(start).state_dict())
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._loss = DetectorLoss(config)
        self._optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self._ema = EMA(self.network, config.ema_half_life)
        self._state = TrainState()
        self._validation = DetectorValidation(data)
        self._log = RunLog(folder)
        self._saved = time.monotonic()

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.pt"

    def averaged(self) -> DetectorNet:
        """Return the network with EMA weights, in evaluation mode."""
        network = copy.deepcopy(self.network)
        network.load_state_dict(self._ema.weights)
        return network.eval()

    def run(self) -> dict[str, float]:
        """Train to the last epoch; each epoch ends with validation, a row in ``log.csv``, an overlay and a checkpoint.

        Returns:
            The figures of the last validation.

        Raises:
            ConfigError: the checkpoint was begun with another configuration, or is not a checkpoint.
            KeyboardInterrupt: an interrupt was requested; the state is saved, and :meth:`run` resumes from it.
        """
        if self.checkpoint.is_file():
            self._restore()
        figures: dict[str, float] = {}
        with StopRequest() as stop, self._log:
            for epoch in range(self._state.epoch, self.config.epochs):
                if self._progress >= 1:
                    break
                for _ in self._steps(epoch):
                    if stop.requested:
                        self._save()
                        raise KeyboardInterrupt
                figures = self._end_epoch(epoch)
        return figures

    def _steps(self, epoch: int) -> Iterator[None]:
        """Run the remaining steps of an epoch; yields where the run may be interrupted."""
        progress = tqdm(
            self._data.batches(epoch, self._state.step),
            desc=f"epoch {epoch + 1}/{self.config.epochs}",
            mininterval=2,
            initial=self._state.step,
            total=self._data.steps,
            disable=None,
        )
        started = time.monotonic()
        for batch in progress:
            total = self._step(batch)
            now = time.monotonic()
            self._state.seconds += now - started
            started = now
            if self._state.step % 10 == 0:
                progress.set_postfix(loss=f"{float(total):.3f}")
            if now - self._saved > _SAVE_EVERY_S:
                self._save()
            yield
            if self._progress >= 1:
                break

    @property
    def _progress(self) -> float:
        """Completed share of the run: of its time budget or of its steps, whichever is further."""
        steps = self._data.steps
        done = (self._state.epoch * steps + self._state.step) / (self.config.epochs * steps)
        if self.config.minutes > 0:
            done = max(done, self._state.seconds / (60 * self.config.minutes))
        return done

    def _step(self, batch: Batch) -> Tensor:
        rate = self.config.learning_rate * one_cycle(self._progress, self.config.warmup)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        images, targets = batch
        self.network.train()
        maps = self.network(images.contiguous(memory_format=torch.channels_last).float())
        total, terms = self._loss(maps, targets)
        self._optimizer.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), _CLIP)
        self._optimizer.step()
        self._ema.update(self.network)
        self._state.step += 1
        self._state.add({**terms, "total": total.detach()})
        return total.detach()

    def _end_epoch(self, epoch: int) -> dict[str, float]:
        figures: dict[str, Any] = {"epoch": epoch + 1, **self._state.end_epoch()}
        network = self.averaged()
        figures |= self._validation(network)
        figures["minutes"] = self._state.seconds / 60
        self._log.write(figures)
        self._log.overlay(epoch + 1, self._validation.overlay(network))
        self._save()
        return figures

    def _save(self) -> None:
        self._saved = time.monotonic()
        checkpoints.save(
            self.checkpoint,
            {**self._identity(), **run_state(*self._parts)},
        )

    @property
    def _parts(self) -> tuple[DetectorNet, torch.optim.Optimizer, EMA, TrainState]:
        """Everything that training changes."""
        return self.network, self._optimizer, self._ema, self._state

    def _identity(self) -> dict[str, Any]:
        """Return what must be equal to resume a run."""
        return {"config": {"role": "detector", **asdict(self.config)}}

    def _restore(self) -> None:
        state = checkpoints.load(self.checkpoint)
        checkpoints.check_same_run(self.checkpoint, state, self._identity())
        restore_run(state, *self._parts)


def load_detector(path: Path) -> DetectorNet:
    """Load the EMA network of a detector's checkpoint, in evaluation mode.

    Raises:
        ConfigError: the file is not a checkpoint of a detector.
        ModelError: its network cannot be built.
    """
    state = checkpoints.load(path)
    config = state["config"]
    if config.get("role") != "detector":
        raise ConfigError(f"{path} is not a checkpoint of a detector")
    try:
        network = DetectorNet(config["channels"], config["blocks"], config["pyramid"])
        network.load_state_dict(checkpoints.averaged(state))
    except (KeyError, TypeError, RuntimeError) as error:
        raise ModelError(f"the network of {path} cannot be built: {error}") from error
    return network.eval()
