"""3D morphable model: loading, reconstruction, attributes and measurements."""

from tddfa_ros.morphable.model import MorphableModel, topology_hash

__all__ = ["MorphableModel", "topology_hash"]
