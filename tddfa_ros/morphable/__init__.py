"""The 3D morphable model: load it, reconstruct heads with it, build it."""

from tddfa_ros.morphable.model import MorphableModel, topology_hash

__all__ = ["MorphableModel", "topology_hash"]
