"""Edit model parameters by name: shape attributes and expressions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from tddfa_ros.errors import ConfigError, ModelError
from tddfa_ros.morphable.attributes import DEFAULT_ATTRIBUTES, AttributeSet
from tddfa_ros.morphable.measures import measure_face
from tddfa_ros.morphable.model import MorphableModel
from tddfa_ros.types import FloatArray

ARKIT_COUNT = 52
"""A model with this many expressions, including ``jawOpen``, has ARKit's expressions with a known range."""

_ARKIT_RANGE = (0.0, 1.2)

_RENAMED = {"childlike": "child_proportions", "masculine": "masculine_proportions"}


@dataclass(frozen=True)
class Control:
    """An editable attribute or expression.

    Attributes:
        name: name of the attribute or expression.
        kind: ``attribute`` or ``expression``.
        low: smallest accepted value.
        high: largest accepted value.
        unit: unit of the value.
        description: one line.
        explained: share of the generator's change that the identity basis can represent; 1 for expressions.
    """

    name: str
    kind: str
    low: float
    high: float
    unit: str
    description: str
    explained: float = 1.0


class AttributeEditor:
    """Edit parameters of one morphable model by name.

    Args:
        model: the morphable model.
        attributes: directions of this model; None = those of the package if they belong to the model, else expressions only.

    Raises:
        ModelError: ``attributes`` belong to another model.
    """

    def __init__(self, model: MorphableModel, attributes: AttributeSet | None = None) -> None:
        if attributes is not None:
            attributes.check(model)
        self.model = model
        self.attributes = attributes or default_attributes(model)

    @property
    def controls(self) -> Mapping[str, Control]:
        """Editable attributes and expressions, attributes first."""
        return {control.name: control for control in self._controls()}

    def edit(self, params: FloatArray, changes: Mapping[str, float]) -> FloatArray:
        """Return a changed copy of parameters (..., P).

        Attributes are relative (``jaw_width=3`` is 3 mm wider than before); expressions are absolute.

        Raises:
            ConfigError: a name is unknown, or a value is outside its range. ModelError: ``params`` do not fit the model.
        """
        params = np.array(params, dtype=np.float32)
        layout = self.model.layout
        if params.ndim == 0 or params.shape[-1] != layout.size:
            raise ModelError(
                f"{self.model.name} takes {layout.size} parameters, got an array of shape {params.shape}"
            )
        controls = self.controls
        for name, value in changes.items():
            _check(name, value, controls, self.model)
            if controls[name].kind == "expression":
                index = self.model.expression_names.index(name)
                params[..., layout.expression_slice.start + index] = value
            elif self.attributes is not None:
                params[..., layout.shape_slice] += (
                    np.float32(value) * self.attributes[name].direction
                )
        return params

    def measure(self, params: FloatArray) -> dict[str, float]:
        """Measure lengths of the neutral face of parameters (P,), mm; see ``MEASURES``."""
        params = np.array(params, dtype=np.float32)
        params[..., self.model.layout.expression_slice] = 0
        return measure_face(self.model.head_landmarks(params))

    def _controls(self) -> Iterator[Control]:
        for a in self.attributes or ():
            yield Control(a.name, "attribute", a.low, a.high, a.unit, a.description, a.explained)
        names = self.model.expression_names
        arkit = len(names) == ARKIT_COUNT and "jawOpen" in names
        low, high = _ARKIT_RANGE if arkit else (-np.inf, np.inf)
        unit = "full action" if arkit else "model's own"
        for name in names:
            yield Control(name, "expression", low, high, unit, "expression")


def edit_params(
    params: FloatArray,
    changes: Mapping[str, float],
    model: MorphableModel,
    attributes: AttributeSet | None = None,
) -> FloatArray:
    """Call :meth:`AttributeEditor.edit` once: ``edit_params(face.params, {"age": 1, "jawOpen": 0.6}, face.model)``."""
    return AttributeEditor(model, attributes).edit(params, changes)


def parse_changes(texts: tuple[str, ...]) -> dict[str, float]:
    """Parse ``("age=+1", "jawOpen=.5")`` to a mapping.

    Raises:
        ConfigError: a text is not ``name=number``, or a name is repeated.
    """
    changes: dict[str, float] = {}
    for text in texts:
        name, equals, number = text.partition("=")
        name = name.strip()
        try:
            value = float(number)
        except ValueError:
            value = np.nan
        if not (name and equals and np.isfinite(value)):
            raise ConfigError(f"'{text}' is not of the form name=number, such as age=+1")
        if name in changes:
            raise ConfigError(f"{name} is set twice")
        changes[name] = value
    return changes


def _check(name: str, value: float, controls: Mapping[str, Control], model: MorphableModel) -> None:
    if name not in controls:
        if _RENAMED.get(name) in controls:
            raise ConfigError(
                f"{name} is now called {_RENAMED[name]}, as it changes the shape only"
            )
        from difflib import get_close_matches

        near = get_close_matches(name, controls, n=3, cutoff=0.5)
        hint = f"; did you mean {' or '.join(near)}?" if near else "; 'tddfa edit --list' shows all"
        raise ConfigError(f"{model.name} has no attribute or expression {name!r}{hint}")
    control = controls[name]
    if not (np.isfinite(value) and control.low <= value <= control.high):
        raise ConfigError(
            f"{name} takes {control.low:g} to {control.high:g} ({control.unit}), not {value:g}"
        )


def default_attributes(model: MorphableModel) -> AttributeSet | None:
    """Return the directions of the package if they belong to ``model``, else None.

    Raises:
        ModelError: the file is missing or damaged.
    """
    from tddfa_ros.model_store.store import default_store

    found = AttributeSet.load(default_store().path(DEFAULT_ATTRIBUTES))
    return found if found.topology_id == model.topology_id else None
