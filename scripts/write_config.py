"""Write ``config/face.yaml`` from the dataclasses that declare the parameters of every node.

python scripts/write_config.py            # after a change of tddfa_ros/config.py or tddfa_ros/nodes/options.py
"""

from __future__ import annotations

import re
import sys
from dataclasses import Field, fields, is_dataclass
from pathlib import Path
from typing import Any

from tddfa_ros.nodes import options

TARGET = Path(__file__).resolve().parents[1] / "config" / "face.yaml"

NODES = {  # FaceNodeOptions -> face_node, in order of declaration
    re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name.removesuffix("Options")).lower(): declared
    for name, declared in vars(options).items()
    if name.endswith("NodeOptions")
}

HEAD = """\
# Parameters of all nodes with their defaults; written by scripts/write_config.py.
# (r): can be changed while the node runs, as in: ros2 param set /face_node detection.score_threshold 0.6
# FacePipeline.from_config() reads the stages of this file too.
"""


def render() -> str:
    """The text of the file."""
    parts = [HEAD]
    for name, declared in NODES.items():
        parts.append(f"/**/{name}:\n  ros__parameters:\n" + "".join(_lines(declared(), "    ")))
    return "\n".join(parts)


def _lines(config: Any, indent: str) -> list[str]:
    lines: list[str] = []
    for spec in fields(config):
        value = getattr(config, spec.name)
        if is_dataclass(value):
            lines += [f"{indent}{spec.name}:\n", *_lines(value, indent + "  ")]
        else:
            entry = f"{indent}{spec.name}: {_scalar(value)}"
            lines.append(f"{entry:<40}  # {_comment(spec)}\n")
    return lines


def _comment(spec: Field[Any]) -> str:
    meta = spec.metadata
    if meta.get("choices"):
        limits = f" [{' | '.join(map(str, meta['choices']))}]"
    elif meta.get("min") is not None or meta.get("max") is not None:
        limits = f" [{_bound(meta.get('min'))} .. {_bound(meta.get('max'))}]"
    else:
        limits = ""
    return f"{'(r) ' if meta.get('runtime') else ''}{meta['help']}{limits}"


def _bound(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return value if value.replace("_", "").replace("-", "").isalnum() else f'"{value}"'
    return repr(value)


if __name__ == "__main__":
    TARGET.write_text(render(), encoding="utf-8")
    print(f"wrote {TARGET.name}", file=sys.stderr)
