"""Read the images of a ROS bag (rosbag2: sqlite3 or MCAP) with the library rosbags, without ROS."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from tddfa_ros.errors import DamagedSourceError, SourceError
from tddfa_ros.sources.folder import natural_order
from tddfa_ros.types import MAX_IMAGE_PIXELS, ImageBGR

if TYPE_CHECKING:
    from rosbags.highlevel import AnyReader

METADATA = "metadata.yaml"
SUFFIXES = (".db3", ".mcap")
_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
_NANOSECONDS = 10**9


@dataclass(frozen=True, eq=False)
class BagImage:
    """An undecoded image message; picklable, so that worker processes can decode it.

    Attributes:
        bag: folder or file of the bag.
        topic: topic the message was recorded on.
        stamp_ns: stamp of the header, ns.
        fields: fields of the message by name, without the header.
    """

    bag: Path
    topic: str
    stamp_ns: int
    fields: dict[str, Any]

    def __str__(self) -> str:
        seconds, nanoseconds = divmod(self.stamp_ns, _NANOSECONDS)
        return f"{self.bag}, {self.topic} at {seconds}.{nanoseconds:09d}"

    def image(self, max_pixels: int = MAX_IMAGE_PIXELS) -> ImageBGR:
        """Decode to (H, W, 3) uint8 BGR; ``max_pixels`` is the largest accepted width x height of a compressed image.

        Raises:
            ImageError: the message cannot be decoded; see :func:`tddfa_ros.sources.image_messages.to_bgr`.
        """
        from tddfa_ros.sources.image_messages import to_bgr

        return to_bgr(SimpleNamespace(**self.fields), max_pixels=max_pixels)


class BagImages:
    """Iterable over the images of one topic of a bag, in recording order.

    Args:
        path: folder of a bag, or a ``.db3`` or ``.mcap`` file.
        topic: topic of type ``sensor_msgs/Image`` or ``CompressedImage``; empty = the only image topic of the bag.

    Attributes:
        topic: topic that is read.

    Raises:
        SourceError: rosbags is not installed, the bag cannot be read, it has no such topic, or it has several image topics and
            none is given.
    """

    def __init__(self, path: Path, topic: str = "") -> None:
        if find_spec("rosbags") is None or find_spec("rosbags.highlevel") is None:
            raise SourceError(
                f"reading the ROS bag {path} needs rosbags: install the extra 'bags' (pip install rosbags)"
            )
        self.path = path
        with _opened(path) as reader:
            counts = {
                c.topic: reader.topics[c.topic].msgcount
                for c in reader.connections
                if c.msgtype in _TYPES
            }
        self.topic = _chosen(path, counts, topic)
        self._count: int = counts[self.topic]

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[BagImage]:
        with _opened(self.path) as reader:
            connections = [c for c in reader.connections if c.topic == self.topic]
            messages = reader.messages(connections=connections)
            while True:
                try:
                    connection, _, raw = next(messages)
                    message: Any = reader.deserialize(raw, connection.msgtype)
                except StopIteration:
                    return
                except (
                    Exception
                ) as error:  # a damaged bag raises errors of rosbags, SQLite, LZ4 ...
                    raise _unreadable(self.path, error) from error
                stamp = message.header.stamp
                names = ("height", "width", "encoding", "is_bigendian", "step", "format", "data")
                fields = {n: getattr(message, n) for n in names if hasattr(message, n)}
                stamp_ns = int(stamp.sec) * _NANOSECONDS + int(stamp.nanosec)
                yield BagImage(self.path, self.topic, stamp_ns, fields)


def read_messages(path: Path, topics: Sequence[str]) -> Iterator[tuple[str, str, int, bytes]]:
    """Yield the messages on some topics of a bag in recording order, as (topic, type, time of recording in ns, CDR bytes).

    Raises:
        SourceError: the bag cannot be read.
    """
    with _opened(path) as reader:
        messages = reader.messages(connections=[c for c in reader.connections if c.topic in topics])
        while True:
            try:
                connection, at, raw = next(messages)
            except StopIteration:
                return
            except Exception as error:  # a damaged bag raises errors of rosbags, SQLite, LZ4 ...
                raise _unreadable(path, error) from error
            yield connection.topic, connection.msgtype, at, bytes(raw)


def is_bag(path: str | Path) -> bool:
    """Return whether a path is a bag: a folder with ``metadata.yaml``, ``.db3`` or ``.mcap`` files, or such a file.

    A recorder that was killed leaves no ``metadata.yaml``.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        return (path / METADATA).is_file() or bool(_storage_files(path))
    return path.suffix in SUFFIXES and path.is_file()


def _storage_files(folder: Path) -> list[Path]:
    """List the ``.db3`` or ``.mcap`` files of a folder in recording order."""
    files = (file for suffix in SUFFIXES for file in folder.glob(f"*{suffix}"))
    return sorted((file for file in files if file.is_file()), key=natural_order)


@contextmanager
def _opened(path: Path) -> Iterator[AnyReader]:
    from rosbags.highlevel import AnyReader
    from rosbags.typesys import Stores, get_typestore

    try:
        # Bags up to Humble do not store message definitions; sensor_msgs/Image has not changed since.
        whole = not path.is_dir() or (path / METADATA).is_file()
        paths = [path] if whole else _storage_files(path)
        reader = AnyReader(paths, default_typestore=get_typestore(Stores.ROS2_HUMBLE))
        reader.open()
    except Exception as error:  # a damaged bag raises errors of rosbags, SQLite, YAML ...
        raise _unreadable(path, error) from error
    try:
        yield reader
    finally:
        reader.close()


def _unreadable(path: Path, error: Exception) -> DamagedSourceError:
    reason = " ".join(str(error).split())
    return DamagedSourceError(f"the bag {path} cannot be read: {reason or type(error).__name__}")


def _chosen(path: Path, counts: dict[str, int], topic: str) -> str:
    known = ", ".join(sorted(counts))
    if not counts:
        raise SourceError(f"the bag {path} has no image topic")
    if topic:
        if topic not in counts:
            raise SourceError(
                f"the bag {path} has no images on {topic}; its image topics are {known}"
            )
        return topic
    if len(counts) > 1:
        raise SourceError(f"the bag {path} has images on {known}: choose one of these topics")
    return next(iter(counts))
