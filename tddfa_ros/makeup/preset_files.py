"""Read makeup presets from YAML files: those of the package, by name, or the user's own; with single values changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from tddfa_ros.errors import ConfigError
from tddfa_ros.makeup.preset import MakeupPreset, Sticker
from tddfa_ros.model_store.resources import resource_dir
from tddfa_ros.schema import from_dict, read_yaml

_STICKER_KEYS = ("image", "place", "size", "rotate", "opacity")
_SUFFIXES = (".yaml", ".yml")
_OPACITY = 0.6  # default of a part in a file


def presets_folder() -> Path:
    """Return the folder of the presets that come with the package."""
    return resource_dir() / "config" / "makeup"


def preset_names() -> tuple[str, ...]:
    """Return the names of the presets that come with the package."""
    return tuple(sorted(file.stem for file in presets_folder().glob("*.yaml")))


def load_preset(name_or_file: str | Path, changes: Sequence[str] = ()) -> MakeupPreset:
    """Read a makeup preset.

    Args:
        name_or_file: one of :func:`preset_names`, or a YAML file. Images of stickers are searched beside the file.
        changes: changed values, such as ``lipstick.color=#b0303a``.

    Raises:
        ConfigError: the preset is unknown, the file has an unknown key or invalid value, or an image is missing.
    """
    path = _file_of(name_or_file)
    return preset_from_dict(read_yaml(path), path.parent, changes)


def preset_from_dict(
    values: Mapping[str, Any], folder: Path, changes: Sequence[str] = ()
) -> MakeupPreset:
    """Build a preset from mappings as in a YAML file; ``folder`` holds the images of stickers.

    Raises:
        ConfigError: unknown key, invalid value, or missing image.
    """
    merged = _with_changes(values, changes)
    listed = merged.pop("stickers", None) or ()
    if not isinstance(listed, (list, tuple)):
        raise ConfigError(f"stickers must be a list, not {listed!r}")
    stickers = tuple(_sticker(entry, i, folder) for i, entry in enumerate(listed))
    for stage in merged.values():
        if isinstance(stage, dict):
            stage.setdefault("opacity", _OPACITY)
    preset = from_dict(MakeupPreset, merged)
    return MakeupPreset(
        preset.lipstick, preset.blush, preset.eye_shadow, preset.brow_tint, stickers
    )


def _file_of(name_or_file: str | Path) -> Path:
    path = Path(name_or_file).expanduser()
    if path.suffix.lower() in _SUFFIXES:
        return path
    preset = presets_folder() / f"{name_or_file}.yaml"
    if str(name_or_file) not in preset_names():
        known = ", ".join(preset_names())
        raise ConfigError(
            f"there is no makeup preset '{name_or_file}': known are {known}, or the path of a .yaml file"
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
            raise ConfigError(f"'{text}' cannot be set: {part} can only be changed in a file")
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
        raise ConfigError(f"the image {image} of {where} does not exist")
    place = values.get("place", "forehead")
    if isinstance(place, (list, tuple)):
        values["place"] = ",".join(str(number) for number in place)
    elif not isinstance(place, str):
        raise ConfigError(f"{where}.place must be a name or two numbers, not {place!r}")
    return Sticker(image, **values)
