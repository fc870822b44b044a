"""Named attribute directions in identity space (age, jaw width ...): units, ranges and file format.

The file is one ``.npz`` for one morphable model; ``tddfa_ros.model_builder.attributes`` writes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np

from tddfa_ros.errors import ModelError
from tddfa_ros.files import atomic_path
from tddfa_ros.morphable.model import MorphableModel
from tddfa_ros.morphable.npz_file import read_npz
from tddfa_ros.types import FloatArray

FORMAT = "tddfa-attributes-1"
DEFAULT_ATTRIBUTES = "tddfa-head-attributes"
"""Name in the manifest of the directions that belong to the default morphable model."""

_TEXTS = ("names", "units", "measures", "descriptions")
_NUMBERS = ("low", "high", "explained")


@dataclass(frozen=True, eq=False)
class Attribute:
    """One attribute direction in identity space.

    Attributes:
        name: such as ``jaw_width``.
        unit: what a value of 1 is: ``mm`` of ``measure``, or a share of a difference that the description names.
        measure: the entry of :data:`tddfa_ros.morphable.measures.MEASURES` that grows by 1 mm per unit; "" for none.
        description: one line for people.
        low, high: range of plausible faces.
        explained: share (0..1) of the generator's own change, over the front of the head, that the identity basis can
            show; 1 = all.
        direction: (S,) float32, identity coefficients per unit.
    """

    name: str
    unit: str
    measure: str
    description: str
    low: float
    high: float
    explained: float
    direction: FloatArray


class AttributeSet:
    """The attributes of one morphable model, in the order of their file.

    Args:
        topology_id: of the model that the directions belong to.
        attributes: with directions of one length.
        license, provenance: descriptive texts.
    """

    def __init__(
        self,
        topology_id: str,
        attributes: tuple[Attribute, ...],
        license: str = "",
        provenance: str = "",
    ) -> None:
        self.topology_id = topology_id
        self.license = license
        self.provenance = provenance
        self._by_name = {attribute.name: attribute for attribute in attributes}

    def __iter__(self) -> Iterator[Attribute]:
        return iter(self._by_name.values())

    def __len__(self) -> int:
        return len(self._by_name)

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __getitem__(self, name: str) -> Attribute:
        return self._by_name[name]

    def check(self, model: MorphableModel) -> None:
        """Raise ModelError when the directions belong to another model."""
        if self.topology_id != model.topology_id:
            raise ModelError(
                f"these attribute directions belong to the model {self.topology_id}, not to {model.name} ({model.topology_id})"
            )

    @classmethod
    def load(cls, path: str | PathLike[str]) -> AttributeSet:
        """Read a file of directions.

        Raises:
            ModelError: the file is missing, not a file of directions, or damaged.
        """
        path = Path(path)
        if not path.is_file():
            raise ModelError(f"the attribute directions {path} do not exist")
        needed = ("topology_id", "license", "provenance", "directions", *_TEXTS, *_NUMBERS)
        stored = read_npz(path, "a file of attribute directions", FORMAT, needed)
        directions = np.asarray(stored["directions"], dtype=np.float32)
        lengths = {len(np.atleast_1d(stored[key])) for key in (*_TEXTS, *_NUMBERS)}
        if directions.ndim != 2 or lengths != {len(directions)}:
            raise ModelError(f"{path} is damaged: its arrays do not fit together")
        if not np.isfinite(directions).all():
            raise ModelError(f"{path} is damaged: a direction holds NaN or infinity")
        directions.setflags(write=False)
        attributes = tuple(
            Attribute(
                name=str(stored["names"][i]),
                unit=str(stored["units"][i]),
                measure=str(stored["measures"][i]),
                description=str(stored["descriptions"][i]),
                low=float(stored["low"][i]),
                high=float(stored["high"][i]),
                explained=float(stored["explained"][i]),
                direction=direction,
            )
            for i, direction in enumerate(directions)
        )
        return cls(
            str(stored["topology_id"]),
            attributes,
            str(stored["license"]),
            str(stored["provenance"]),
        )

    def save(self, path: str | PathLike[str]) -> None:
        """Write the directions as ``.npz``."""
        every = tuple(self)
        with atomic_path(Path(path)) as temporary, temporary.open("wb") as file:
            np.savez_compressed(
                file,
                format=FORMAT,
                topology_id=self.topology_id,
                license=self.license,
                provenance=self.provenance,
                directions=np.stack([a.direction for a in every]).astype(np.float32),
                names=np.array([a.name for a in every]),
                units=np.array([a.unit for a in every]),
                measures=np.array([a.measure for a in every]),
                descriptions=np.array([a.description for a in every]),
                low=np.array([a.low for a in every]),
                high=np.array([a.high for a in every]),
                explained=np.array([a.explained for a in every]),
            )
