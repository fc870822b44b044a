"""A model cache as ``tddfa models import`` writes it, with renamed default models."""

from __future__ import annotations

import shutil
from dataclasses import fields
from pathlib import Path

import onnx

from tddfa_ros.config import DetectionConfig
from tddfa_ros.model_store.manifest import ImportedSource, add_model
from tddfa_ros.model_store.store import default_store
from tddfa_ros.morphable import MorphableModel

NETWORK, HEAD = "official-mb05", "official-bfm"


def imported_cache(cache: Path) -> MorphableModel:
    """Write ``official-mb05`` and its morphable model ``official-bfm`` into a cache, and return the cache.

    The default detector is copied. The morphable model has flipped texture coordinates, and so another ``topology_id``, which the metadata of the network contain.
    """
    store, folder = default_store(), cache / "imported"
    folder.mkdir(parents=True)
    detector = store.path(DetectionConfig().detector)
    if detector.is_relative_to(store.cache):
        kept = cache / detector.relative_to(store.cache)
        kept.parent.mkdir(parents=True)
        shutil.copyfile(detector, kept)
    own = MorphableModel.load(store.path("tddfa-head"))
    values = {f.name: getattr(own, f.name) for f in fields(own) if f.name != "topology_id"}
    head = MorphableModel.create(**{**values, "name": HEAD, "uv": own.uv * [1, -1] + [0, 1]})
    assert head.topology_id != own.topology_id
    head.save(folder / f"{HEAD}.npz")
    network = onnx.load(str(store.path("tddfa-mb05")))
    for entry in network.metadata_props:
        if entry.key == "tddfa.topology_id":
            entry.value = head.topology_id
    onnx.save(network, str(folder / f"{NETWORK}.onnx"))
    made = {"license": "for tests", "input": "crops"}
    manifest, source = folder / "manifest.yaml", ImportedSource("mine.pth", "0" * 64)
    add_model(manifest, HEAD, folder / f"{HEAD}.npz", source, role="morphable", **made)
    network_file = folder / f"{NETWORK}.onnx"
    add_model(manifest, NETWORK, network_file, source, role="regressor", morphable=HEAD, **made)
    return head
