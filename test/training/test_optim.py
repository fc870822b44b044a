from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra [training] (torch) is not installed")

from torch import nn  # noqa: E402

from tddfa_ros.training.optim import EMA, TrainState, one_cycle  # noqa: E402


def scalar(value: float) -> object:
    return torch.tensor(value)


def test_means_are_over_steps_with_the_figure() -> None:
    state = TrainState()
    for step in range(4):
        state.step += 1
        figures = {"total": scalar(float(step))}
        if step == 1:
            figures["vdc"] = scalar(8.0)
        state.add(figures)
    assert state.end_epoch() == {"total": 1.5, "vdc": 8.0}
    assert (state.epoch, state.step) == (1, 0)
    state.add({"total": scalar(7.0)})
    assert state.end_epoch() == {"total": 7.0}, "means are reset per epoch"


def test_train_state_resumes_from_its_state() -> None:
    state, other = TrainState(), TrainState()
    state.epoch, state.step = 3, 2
    state.add({"total": scalar(1.0)})
    saved = state.state_dict()
    state.add({"total": scalar(100.0)})
    other.load_state_dict(saved)
    other.add({"total": scalar(2.0)})
    assert (other.epoch, other.step) == (3, 2)
    assert other.end_epoch() == {"total": 1.5}


def test_added_figures_are_not_modified() -> None:
    state, value = TrainState(), scalar(1.0)
    state.add({"total": value})
    state.add({"total": scalar(1.0)})
    assert value == 1.0


def test_one_cycle() -> None:
    """Cosine from 4 % to the peak at the end of the warm-up, then to 0.1 %."""
    rates = [one_cycle(p, warm_up=0.25) for p in np.linspace(0, 1, 101)]
    assert rates[0] == pytest.approx(0.04)
    assert rates[25] == 1.0 == max(rates)
    assert one_cycle(0.125, warm_up=0.25) == pytest.approx(0.52)  # half way between both
    assert one_cycle(0.625, warm_up=0.25) == pytest.approx((1 + 1e-3) / 2)
    assert rates[100] == pytest.approx(1e-3)
    assert np.all(np.diff(rates[:26]) > 0) and np.all(np.diff(rates[25:]) < 0)


def test_one_cycle_without_and_with_only_warmup() -> None:
    assert one_cycle(0.0, warm_up=0.0) == 1.0
    assert one_cycle(0.999, warm_up=1.5) < 1.0
    assert one_cycle(1.0, warm_up=1.0) == pytest.approx(1e-3)


class One(nn.Module):
    """One weight, one statistic and one counter."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.register_buffer("statistic", torch.zeros(()))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    def move(self, value: float) -> None:
        with torch.no_grad():
            self.weight.fill_(value)
        self.statistic.fill_(value)
        self.count += 1


def run(ema: EMA, network: One, values: list[float]) -> list[float]:
    out = []
    for value in values:
        network.move(value)
        ema.update(network)
        out.append(float(ema.weights["weight"]))
    return out


def test_ema_updates_every_fourth_step_and_starts_as_plain_mean() -> None:
    network = One()
    ema = EMA(network, half_life=1000.0)
    seen = run(ema, network, [float(step) for step in range(1, 13)])
    means = [0.0, (0 + 4) / 2, (0 + 4 + 8) / 3, (0 + 4 + 8 + 12) / 4]
    expected = [*[means[0]] * 3, *[means[1]] * 4, *[means[2]] * 4, means[3]]
    assert seen == pytest.approx(expected)


def test_ema_half_life() -> None:
    network = One()
    ema = EMA(network, half_life=8.0)
    run(ema, network, [1.0] * 400)
    later = run(ema, network, [0.0] * 8)
    assert later[3] == pytest.approx(0.5**0.5, rel=1e-5)
    assert later[7] == pytest.approx(0.5, rel=1e-5)


def test_ema_keeps_network_statistics() -> None:
    network = One()
    ema = EMA(network, half_life=1000.0)
    run(ema, network, [5.0, 5.0, 5.0, 9.0])
    assert ema.weights["statistic"] == 9.0
    assert ema.weights["count"] == 4
    assert ema.weights["count"].dtype == torch.int64


def test_ema_with_half_life_0_is_the_network() -> None:
    network = One()
    values = [3.0, -1.0, 0.1, 7.0, 2.0]
    assert run(EMA(network, 0.0), network, values) == pytest.approx(values)


def test_ema_of_constant_weights_is_bit_equal() -> None:
    network = One()
    network.move(0.1)
    ema = EMA(network, half_life=50.0)
    run(ema, network, [0.1] * 40)
    assert torch.equal(ema.weights["weight"], network.weight)


def test_ema_resumes_from_its_state() -> None:
    network = One()
    unbroken = EMA(network, half_life=12.0)
    values = [float(step % 5) for step in range(30)]
    run(unbroken, network, values[:17])
    state = {k: (dict(v) if isinstance(v, dict) else v) for k, v in unbroken.state_dict().items()}
    state["weights"] = {k: v.clone() for k, v in state["weights"].items()}
    other = EMA(One(), half_life=12.0)
    other.load_state_dict(state)
    assert run(other, network, values[17:]) == run(unbroken, network, values[17:])


def test_ema_does_not_share_memory() -> None:
    network = One()
    ema = EMA(network, half_life=8.0)
    network.move(4.0)
    assert ema.weights["weight"] == 0.0
