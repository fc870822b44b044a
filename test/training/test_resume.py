"""An interrupted run resumes exactly."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from support.tiny_training import StopAfter, tiny

from tddfa_ros.errors import ConfigError
from tddfa_ros.morphable import MorphableModel
from tddfa_ros.training.cache import FaceCache
from tddfa_ros.training.loss_weights import LossWeights

torch = pytest.importorskip("torch", reason="the extra [training] (torch) is not installed")

from tddfa_ros.training import checkpoint as checkpoints  # noqa: E402
from tddfa_ros.training.trainer import Trainer  # noqa: E402


def stop(trainer: Trainer, looks: int, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Run until the n-th step (or selection), and return the saved state."""
    with monkeypatch.context() as patched:
        patched.setattr("tddfa_ros.training.trainer.StopRequest", StopAfter(looks))
        with pytest.raises(KeyboardInterrupt):
            trainer.run()
    return checkpoints.load(trainer.checkpoint)


def assert_same(found: Any, wanted: Any, where: str = "") -> None:
    """Bit-equal tensors and equal values, at any depth."""
    if isinstance(wanted, torch.Tensor):
        assert torch.equal(found, wanted), where
    elif isinstance(wanted, dict):
        assert found.keys() == wanted.keys(), where
        for key in wanted:
            assert_same(found[key], wanted[key], f"{where}.{key}")
    elif isinstance(wanted, (list, tuple)):
        assert len(found) == len(wanted), where
        for index, (a, b) in enumerate(zip(found, wanted, strict=True)):
            assert_same(a, b, f"{where}[{index}]")
    else:
        assert found == wanted, where


def figures_of(trainer: Trainer) -> list[list[str]]:
    """The log without its last column, the minutes."""
    lines = (trainer.folder / "log.csv").read_text().splitlines()
    return [line.split(",")[:-1] for line in lines]


def test_resumes_within_an_epoch(
    tiny_model: MorphableModel,
    tiny_cache: FaceCache,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Stopped after steps 2 and 6 of the 6 of the first epoch, and after step 3 of the second."""

    def begin(name: str) -> Trainer:
        return Trainer(tiny(samples=48, parsing=True), tiny_cache, tiny_model, tmp_path / name)

    unbroken = begin("unbroken")
    unbroken.run()
    for looks, epoch, step in ((2, 0, 2), (4, 0, 6)):
        saved = stop(begin("stopped"), looks, monkeypatch)
        assert (saved["train_state"]["epoch"], saved["train_state"]["step"]) == (epoch, step)
        assert not (tmp_path / "stopped" / "log.csv").exists()
    saved = stop(begin("stopped"), 3, monkeypatch)
    assert (saved["train_state"]["epoch"], saved["train_state"]["step"]) == (1, 3)
    assert saved["train_state"]["counts"]["total"] == 3
    resumed = begin("stopped")
    resumed.run()
    assert_same(checkpoints.load(resumed.checkpoint), checkpoints.load(unbroken.checkpoint))
    assert_same(resumed.network.state_dict(), unbroken.network.state_dict())
    assert figures_of(resumed) == figures_of(unbroken)


def test_resumes_between_meta_joint_selections(
    tiny_model: MorphableModel,
    tiny_cache: FaceCache,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = tiny(
        epochs=1, samples=32, meta_joint=2, loss=LossWeights.only(fwpdc=1.0, vdc=0.01, direct=1.0)
    )
    unbroken = Trainer(config, tiny_cache, tiny_model, tmp_path / "unbroken")
    unbroken.run()
    folder = tmp_path / "stopped"
    saved = stop(Trainer(config, tiny_cache, tiny_model, folder), 1, monkeypatch)
    assert saved["train_state"]["step"] == 2
    resumed = Trainer(config, tiny_cache, tiny_model, folder)
    resumed.run()
    assert_same(checkpoints.load(resumed.checkpoint), checkpoints.load(unbroken.checkpoint))


def test_finished_run_is_not_changed(
    tiny_model: MorphableModel, tiny_cache: FaceCache, whole_run: Trainer
) -> None:
    before = whole_run.checkpoint.read_bytes()
    log = figures_of(whole_run)
    Trainer(whole_run.config, tiny_cache, tiny_model, whole_run.folder).run()
    assert whole_run.checkpoint.read_bytes() == before
    assert figures_of(whole_run) == log


def test_rejects_other_configuration_model_or_data(
    tiny_model: MorphableModel, tiny_cache: FaceCache, whole_run: Trainer
) -> None:
    def go_on(**options: Any) -> None:
        config = replace(whole_run.config, **options)
        Trainer(config, tiny_cache, tiny_model, whole_run.folder).run()

    with pytest.raises(ConfigError, match=r"started with learning_rate 0\.004, not 0\.001"):
        go_on(learning_rate=1e-3)
    with pytest.raises(ConfigError, match="started with samples 360, not 64"):
        go_on(samples=64)
    go_on(threads=2)  # another machine
    torch.set_num_threads(1)
    state = checkpoints.load(whole_run.checkpoint)
    ours = {name: state[name] for name in ("config", "topology_id", "steps_per_epoch")}
    checkpoints.check_same_run(whole_run.checkpoint, state, ours)
    with pytest.raises(ConfigError, match="started with steps_per_epoch 45, not 6"):
        checkpoints.check_same_run(whole_run.checkpoint, state, {**ours, "steps_per_epoch": 6})
    with pytest.raises(ConfigError, match="started with topology_id"):
        checkpoints.check_same_run(whole_run.checkpoint, state, {**ours, "topology_id": "other"})


@pytest.mark.parametrize("content", [b"not a checkpoint", b""])
def test_rejects_damaged_checkpoint(
    tiny_model: MorphableModel, tiny_cache: FaceCache, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(content)
    with pytest.raises(ConfigError, match=r"checkpoint\.pt is not a readable checkpoint"):
        Trainer(tiny(), tiny_cache, tiny_model, tmp_path).run()


def test_checkpoint_cannot_execute_code(tmp_path: Path) -> None:
    """Checkpoints may be untrusted: only tensors and plain values are read."""

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (tmp_path / "touched",)  # type: ignore[return-value]

    path = tmp_path / "checkpoint.pt"
    torch.save({"config": Evil(), "network": {}}, path)
    with pytest.raises(ConfigError, match="not a readable checkpoint"):
        checkpoints.load(path)
    assert not (tmp_path / "touched").exists()


def test_crash_while_saving_keeps_old_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "checkpoint.pt"
    checkpoints.save(path, {"config": {}, "network": {"a": torch.ones(3)}})

    def crash(state: object, target: BinaryIO) -> None:
        target.write(b"half of")
        raise OSError("no space left")

    monkeypatch.setattr(torch, "save", crash)
    with pytest.raises(OSError, match="no space"):
        checkpoints.save(path, {"config": {}, "network": {}})
    assert torch.equal(checkpoints.load(path)["network"]["a"], torch.ones(3))


# -- Ctrl-C ----------------------------------------------------------------------------------------------------------


def test_first_signal_requests_stop_second_interrupts() -> None:
    import signal

    from tddfa_ros.interrupt import StopRequest

    before = signal.getsignal(signal.SIGINT)
    with StopRequest() as request:
        assert not request.requested
        signal.raise_signal(signal.SIGINT)
        assert request.requested
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
    with StopRequest() as request:
        signal.raise_signal(signal.SIGTERM)
        assert request.requested


def test_signals_are_ignored_outside_main_thread() -> None:
    import threading

    from tddfa_ros.interrupt import StopRequest

    seen = []

    def enter() -> None:
        with StopRequest() as request:
            seen.append(request.requested)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [False]
