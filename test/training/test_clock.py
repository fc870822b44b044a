from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra [training] (torch) is not installed")

from tddfa_ros.training.clock import TrainState, one_cycle  # noqa: E402


def scalar(value: float) -> object:
    return torch.tensor(value)


def test_means_are_over_the_steps_that_had_the_figure() -> None:
    clock = TrainState()
    for step in range(4):
        clock.step += 1
        figures = {"total": scalar(float(step))}
        if step == 1:
            figures["vdc"] = scalar(8.0)
        clock.add(figures)
    assert clock.end_epoch() == {"total": 1.5, "vdc": 8.0}
    assert (clock.epoch, clock.step) == (1, 0)
    clock.add({"total": scalar(7.0)})
    assert clock.end_epoch() == {"total": 7.0}, "an epoch begins anew"


def test_a_clock_goes_on_from_its_state() -> None:
    clock, other = TrainState(), TrainState()
    clock.epoch, clock.step = 3, 2
    clock.add({"total": scalar(1.0)})
    state = clock.state_dict()
    clock.add({"total": scalar(100.0)})
    other.load_state_dict(state)
    other.add({"total": scalar(2.0)})
    assert (other.epoch, other.step) == (3, 2)
    assert other.end_epoch() == {"total": 1.5}


def test_figures_that_are_counted_stay_as_they_are() -> None:
    clock, value = TrainState(), scalar(1.0)
    clock.add({"total": value})
    clock.add({"total": scalar(1.0)})
    assert value == 1.0


def test_one_cycle() -> None:
    """Cosines: up from 4 % to the peak at the end of the warm-up, down to 0.1 %."""
    rates = [one_cycle(p, warm_up=0.25) for p in np.linspace(0, 1, 101)]
    assert rates[0] == pytest.approx(0.04)
    assert rates[25] == 1.0 == max(rates)
    assert one_cycle(0.125, warm_up=0.25) == pytest.approx(0.52)  # half way between both
    assert one_cycle(0.625, warm_up=0.25) == pytest.approx((1 + 1e-3) / 2)
    assert rates[100] == pytest.approx(1e-3)
    assert np.all(np.diff(rates[:26]) > 0) and np.all(np.diff(rates[25:]) < 0)


def test_one_cycle_without_or_with_nothing_but_a_warm_up() -> None:
    assert one_cycle(0.0, warm_up=0.0) == 1.0
    assert one_cycle(0.999, warm_up=1.5) < 1.0
    assert one_cycle(1.0, warm_up=1.0) == pytest.approx(1e-3)
