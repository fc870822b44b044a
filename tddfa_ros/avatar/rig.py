"""Check GLB files of avatars: which of ARKit's blend shapes their morph targets are named after."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

from tddfa_ros.arkit import ARKIT_NAMES
from tddfa_ros.errors import ConfigError

_MAGIC, _JSON = b"glTF", 0x4E4F534A
_LARGEST = 512 << 20  # bytes
_SIDES = {"_l": "left", "_r": "right"}


def read_rig(path: Path) -> bytes:
    """Read the GLB file of an avatar.

    Raises:
        ConfigError: it cannot be read, is no GLB file, refers to other files, or no morph target has one of ARKit's names.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise ConfigError(f"{path} is larger than {_LARGEST >> 20} MiB")
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    document = _document(content, path)
    for entry in [*_list(document, "buffers"), *_list(document, "images")]:
        uri = entry.get("uri", "")
        if uri and not str(uri).startswith("data:"):
            raise ConfigError(f"{path} needs the file {uri}: export the avatar as one GLB file")
    if not arkit_targets(document):
        raise ConfigError(
            f"{path} has no morph targets with names of ARKit's blend shapes, such as jawOpen: "
            "export the avatar with its shape keys, under these names"
        )
    return content


def arkit_targets(document: dict[str, Any]) -> set[str]:
    """Return the names of ARKit's blend shapes among the morph targets of a glTF document, in any mesh and order.

    Case does not matter, and sides may be written ``_L`` and ``_R``, as in the web page.
    """
    known = {name.lower(): name for name in ARKIT_NAMES}
    found = set()
    for mesh in _list(document, "meshes"):
        extras = mesh.get("extras")
        names = extras.get("targetNames") if isinstance(extras, dict) else None
        for name in names if isinstance(names, list) else ():
            plain = str(name).lower()
            plain = plain[:-2] + _SIDES[plain[-2:]] if plain[-2:] in _SIDES else plain
            if plain in known:
                found.add(known[plain])
    return found


def _document(content: bytes, path: Path) -> dict[str, Any]:
    """Return the JSON chunk of a GLB file (glTF 2.0, section 4.4)."""
    try:
        magic, version, _, length, kind = struct.unpack_from("<4sIIII", content)
        if magic == _MAGIC and version == 2 and kind == _JSON:
            document = json.loads(content[20 : 20 + length])
            if isinstance(document, dict):
                return document
    except (struct.error, ValueError):
        pass
    raise ConfigError(f"{path} is not a GLB file (binary glTF 2.0)")


def _list(document: dict[str, Any], key: str) -> list[dict[str, Any]]:
    entries = document.get(key, [])
    return [e for e in entries if isinstance(e, dict)] if isinstance(entries, list) else []
