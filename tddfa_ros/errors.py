"""Exceptions: one class per kind of failure that a caller handles differently, each with a one-sentence message."""

from __future__ import annotations


class TddfaError(Exception):
    """Base class of all errors raised by this package."""


class ConfigError(TddfaError, ValueError):
    """A configuration option is unknown, of the wrong type or out of range."""


class ImageError(TddfaError, ValueError):
    """An image is unusable: wrong shape or type, truncated, or of an unknown encoding."""


class CameraError(TddfaError, ValueError):
    """Camera intrinsics are unusable."""


class SourceError(TddfaError):
    """An image source (camera, stream, file, folder or bag) is missing, unreadable, or has stopped delivering."""


class DamagedSourceError(SourceError):
    """A source exists, but its content is damaged: one bad item among many."""


class ModelError(TddfaError):
    """A model file is missing, damaged or incompatible."""


class ModelHashError(ModelError):
    """A model file does not match its SHA-256 in the manifest."""


class DeviceError(TddfaError):
    """A requested compute device is unavailable."""
