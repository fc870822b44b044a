from __future__ import annotations

import os

import pytest
from support.work import setup, setup_without_model, threads_setup

from tddfa_ros.errors import ModelError
from tddfa_ros.jobs.ordered import in_order
from tddfa_ros.jobs.process_pool import ProcessPool


def test_dead_workers_are_reported_and_replaced() -> None:
    outcomes = list(in_order(ProcessPool(setup, 2), range(9)))
    assert [o.item for o in outcomes] == list(range(9))
    good = [o for o in outcomes if o.error is None]
    assert [o.value[0] for o in good] == [0, 1, 4, 16, 49, 64]
    processes = {o.value[1] for o in good}
    assert len(processes) >= 2 and os.getpid() not in processes
    assert {o.item: o.error for o in outcomes if o.error} == {
        3: "the worker process was ended by SIGKILL (is the machine's memory full?)",
        5: "the worker process ended with exit code 7",
        6: "six is no image",
    }


def test_setup_failure_is_raised_once() -> None:
    with pytest.raises(ModelError, match=r"^there is no such model$"):
        list(in_order(ProcessPool(setup_without_model, 1), range(3)))


def test_worker_threads_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    (outcome,) = in_order(ProcessPool(threads_setup, 1, threads=3), [None])
    assert outcome.value == "3" and os.environ["OMP_NUM_THREADS"] == "5"
