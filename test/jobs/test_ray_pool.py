from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.work import ray_setup

from tddfa_ros.errors import DeviceError
from tddfa_ros.jobs.ordered import in_order
from tddfa_ros.jobs.ray_pool import RayPool


def test_missing_ray_gives_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(DeviceError, match=r"^working on a cluster needs Ray.*pip install ray$"):
        RayPool(ray_setup, "auto")


@pytest.fixture(scope="module")
def cluster(repo_root: Path) -> Iterator[str]:
    """Return the address of a local Ray cluster of two nodes with one core each."""
    ray = pytest.importorskip("ray", reason="Ray is not installed")
    from ray.cluster_utils import Cluster

    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    nodes.add_node(num_cpus=1)
    path = f"{repo_root}:{repo_root / 'test'}:{':'.join(filter(None, sys.path))}"
    ray.init(nodes.address, log_to_driver=False, runtime_env={"env_vars": {"PYTHONPATH": path}})
    yield nodes.address
    ray.shutdown()
    nodes.shutdown()


def test_two_nodes_share_work_and_survive_a_dead_worker(cluster: str) -> None:
    outcomes = list(in_order(RayPool(ray_setup, cluster), range(12)))
    assert [o.item for o in outcomes] == list(range(12))
    good = {o.item: o.value for o in outcomes if o.error is None}
    assert {item: value[0] for item, value in good.items()} == {
        i: i * i for i in range(12) if i != 3
    }
    assert len({machine for _, machine in good.values()}) == 2
    assert "died" in str(outcomes[3].error)


def test_rejects_cluster_without_free_cores(cluster: str) -> None:
    with pytest.raises(DeviceError, match="has no 64 cores"):
        RayPool(ray_setup, cluster, threads=64)
