"""Looks in YAML files: those that come with the package, by name, and the user's own; and changes to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from tddfa_ros.errors import ConfigError
from tddfa_ros.makeup.look import Look, Sticker
from tddfa_ros.model_store.resources import resource_dir
from tddfa_ros.schema import from_dict, read_yaml

_STICKER_KEYS = ("image", "place", "size", "rotate", "opacity")
_SUFFIXES = (".yaml", ".yml")
_OPACITY = 0.6  # of a part that is named without one


def looks_folder() -> Path:
    """Where the looks that come with the package lie."""
    return resource_dir() / "config" / "looks"


def look_names() -> tuple[str, ...]:
    """Names of the looks that come with the package."""
    return tuple(sorted(file.stem for file in looks_folder().glob("*.yaml")))


def load_look(name_or_file: str | Path, changes: Sequence[str] = ()) -> Look:
    """Read a look.

    Args:
        name_or_file: one of :func:`look_names`, or a YAML file. Pictures of stickers are searched beside the file.
        changes: texts such as ``lipstick.color=#b0303a``, which replace what the file says.

    Raises:
        ConfigError: there is no such look, the file holds an unknown or impossible value, or a picture is missing.
    """
    path = _file_of(name_or_file)
    return look_from(read_yaml(path), path.parent, changes)


def look_from(values: Mapping[str, Any], folder: Path, changes: Sequence[str] = ()) -> Look:
    """A look from mappings as in a YAML file; ``folder`` is where pictures of stickers are searched.

    Raises:
        ConfigError: an unknown key, an impossible value, or a missing picture.
    """
    merged = _with_changes(values, changes)
    listed = merged.pop("stickers", None) or ()
    if not isinstance(listed, (list, tuple)):
        raise ConfigError(f"stickers must be a list, not {listed!r}")
    stickers = tuple(_sticker(entry, i, folder) for i, entry in enumerate(listed))
    for stage in merged.values():
        if isinstance(stage, dict):
            stage.setdefault("opacity", _OPACITY)
    look = from_dict(Look, merged)
    return Look(look.lipstick, look.blush, look.eye_shadow, look.brow_tint, stickers)


def _file_of(name_or_file: str | Path) -> Path:
    path = Path(name_or_file).expanduser()
    if path.suffix.lower() in _SUFFIXES:
        return path
    preset = looks_folder() / f"{name_or_file}.yaml"
    if str(name_or_file) not in look_names():
        known = ", ".join(look_names())
        raise ConfigError(
            f"there is no look '{name_or_file}': known are {known}, or the path of a .yaml file"
        )
    return preset


def _with_changes(values: Mapping[str, Any], changes: Sequence[str]) -> dict[str, Any]:
    import yaml

    merged: dict[str, Any] = deepcopy(dict(values))
    for text in changes:
        name, equals, value = text.partition("=")
        part, dot, key = name.strip().partition(".")
        if not (equals and dot and part and key):
            raise ConfigError(
                f"'{text}' is not of the form part.key=value, such as lipstick.color=#b0303a"
            )
        stage = merged.get(part) or {}
        if part == "stickers" or not isinstance(stage, Mapping):
            raise ConfigError(f"'{text}' cannot be set: {part} is changed in a file only")
        try:
            parsed = value if key == "color" else yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ConfigError(f"'{text}' is not of the form part.key=value") from error
        merged[part] = {**stage, key: parsed}
    return merged


def _sticker(entry: object, index: int, folder: Path) -> Sticker:
    where = f"stickers[{index}]"
    if not isinstance(entry, Mapping) or "image" not in entry:
        raise ConfigError(f"{where} must be a mapping with an image, not {entry!r}")
    unknown = [key for key in entry if key not in _STICKER_KEYS]
    if unknown:
        raise ConfigError(f"unknown key {where}.{unknown[0]}: known are {', '.join(_STICKER_KEYS)}")
    values = dict(entry)
    image = folder / Path(str(values.pop("image"))).expanduser()
    if not image.is_file():
        raise ConfigError(f"the picture {image} of {where} does not exist")
    place = values.get("place", "forehead")
    if isinstance(place, (list, tuple)):
        values["place"] = ",".join(str(number) for number in place)
    elif not isinstance(place, str):
        raise ConfigError(f"{where}.place must be a name or two numbers, not {place!r}")
    return Sticker(image, **values)
