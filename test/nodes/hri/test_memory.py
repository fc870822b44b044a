"""What is remembered of faces from image to image."""

from __future__ import annotations

import numpy as np
import pytest

from tddfa_ros.nodes.hri.memory import Estimates, Presence


def test_presence_bridges_short_gaps() -> None:
    presence = Presence(0.5)
    assert presence.update(["f1"], 10.0) == ["f1"]
    assert presence.update([], 10.4) == ["f1"]
    assert presence.update(["f2"], 10.5) == ["f1", "f2"]
    assert presence.update(["f2"], 10.6) == ["f2"]
    assert presence.update(["f3"], 3.0) == ["f3"], "a bag that starts anew"
    assert presence.update([], 3.6) == []
    presence.timeout = 0.0
    assert presence.update(["f4"], 4.0) == ["f4"]
    assert presence.update([], 4.1) == []


def test_attribute_estimates_are_averaged() -> None:
    rng = np.random.default_rng(0)
    ages = rng.dirichlet(np.ones(101), 5).astype(np.float32)
    feminine = rng.uniform(size=5)
    estimates = Estimates()
    for i in range(5):
        estimates.add("f2", float(i), ages[i, ::-1], 0.5)  # somebody else
        found = estimates.add("f1", float(i), ages[i], float(feminine[i]))
    np.testing.assert_allclose(found.age_probabilities, ages.mean(axis=0), atol=1e-6)
    assert found.feminine == pytest.approx(feminine.mean())
    estimates.keep(["f2"])
    found = estimates.add("f1", 5.0, ages[0], 0.25)
    np.testing.assert_array_equal(found.age_probabilities, ages[0])
    assert found.feminine == 0.25


def test_estimate_rate_is_limited() -> None:
    estimates, age = Estimates(), np.full(101, 1 / 101, np.float32)
    looked = []
    for stamp in np.arange(0, 2, 1 / 30):
        if estimates.due("f1", float(stamp), 2.0):
            estimates.add("f1", float(stamp), age, 0.5)
            looked.append(stamp)
    assert len(looked) == 4 and np.diff(looked).min() >= 0.5
    assert estimates.due("f2", 1.9, 2.0) and not estimates.due("f1", 1.9, 2.0)
    assert estimates.due("f1", 0.3, 2.0), "a bag that starts anew"
