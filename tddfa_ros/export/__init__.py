"""Faces as files that other programs read."""

from __future__ import annotations

from tddfa_ros.export.obj import write_face_obj, write_obj

__all__ = ["write_face_obj", "write_obj"]
