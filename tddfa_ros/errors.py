"""One exception per kind of failure that a caller would handle differently; every message is one clear sentence."""

from __future__ import annotations


class TddfaError(Exception):
    """Base class of every error this package raises on purpose."""


class ConfigError(TddfaError, ValueError):
    """A configuration value is unknown, of the wrong type or out of range."""


class ImageError(TddfaError, ValueError):
    """An image cannot be used: wrong shape or type, truncated, or an unknown encoding."""


class CameraError(TddfaError, ValueError):
    """Camera intrinsics cannot be used."""


class SourceError(TddfaError):
    """Pictures cannot be had from a camera, file or folder: it is absent, unreadable, or stopped delivering."""


class ModelError(TddfaError):
    """A model file is missing, damaged or does not fit what it is used for."""


class ModelHashError(ModelError):
    """A model file does not have the SHA-256 the manifest promises."""


class DeviceError(TddfaError):
    """A requested compute device cannot be used."""
