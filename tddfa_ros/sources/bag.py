"""The pictures of a ROS bag (rosbag2: sqlite3 or MCAP), read without ROS by the library rosbags."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from tddfa_ros.errors import SourceError
from tddfa_ros.types import ImageBGR

if TYPE_CHECKING:
    from rosbags.highlevel import AnyReader

METADATA = "metadata.yaml"
SUFFIXES = (".db3", ".mcap")
_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
_NANOSECONDS = 10**9


@dataclass(frozen=True, eq=False)
class BagImage:
    """One picture message; it can be sent to other processes.

    Attributes:
        bag: the folder or file it comes from.
        topic: that it was recorded on.
        stamp_ns: the stamp of its header, ns.
        fields: the fields of the message by name, but the header.
    """

    bag: Path
    topic: str
    stamp_ns: int
    fields: dict[str, Any]

    def __str__(self) -> str:
        seconds, nanoseconds = divmod(self.stamp_ns, _NANOSECONDS)
        return f"{self.bag}, {self.topic} at {seconds}.{nanoseconds:09d}"

    def image(self) -> ImageBGR:
        """Decode it: (H, W, 3) uint8 BGR.

        Raises:
            ImageError: it cannot be; see :func:`tddfa_ros.sources.image_messages.to_bgr`.
        """
        from tddfa_ros.sources.image_messages import to_bgr

        return to_bgr(SimpleNamespace(**self.fields))


class BagImages:
    """The pictures of one topic of a bag, in the order of their recording; iterate as often as you like.

    Args:
        path: the folder of a bag, or a ``.db3`` or ``.mcap`` file.
        topic: of ``sensor_msgs/Image`` or ``CompressedImage``; empty: the only one there is.

    Attributes:
        topic: that is read.

    Raises:
        SourceError: rosbags is not installed, the bag cannot be read, it has no such topic, or several and none is chosen.
    """

    def __init__(self, path: Path, topic: str = "") -> None:
        if find_spec("rosbags") is None or find_spec("rosbags.highlevel") is None:
            raise SourceError(
                f"reading the ROS bag {path} needs rosbags: install the extra 'bags' (pip install 'tddfa_ros[bags]')"
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
                ) as error:  # of rosbags, SQLite, LZ4, ...: a bag can be damaged in any way
                    raise SourceError(f"the bag {self.path} cannot be read: {error}") from error
                stamp = message.header.stamp
                names = ("height", "width", "encoding", "is_bigendian", "step", "format", "data")
                fields = {n: getattr(message, n) for n in names if hasattr(message, n)}
                stamp_ns = int(stamp.sec) * _NANOSECONDS + int(stamp.nanosec)
                yield BagImage(self.path, self.topic, stamp_ns, fields)


def is_bag(path: str | Path) -> bool:
    """Whether this is a bag: a folder with ``metadata.yaml``, or a ``.db3`` or ``.mcap`` file."""
    path = Path(path).expanduser()
    return (path / METADATA).is_file() or (path.suffix in SUFFIXES and path.is_file())


@contextmanager
def _opened(path: Path) -> Iterator[AnyReader]:
    from rosbags.highlevel import AnyReader
    from rosbags.typesys import Stores, get_typestore

    try:
        # Bags of Humble and before do not say what their messages look like; sensor_msgs' pictures have not changed since.
        reader = AnyReader([path], default_typestore=get_typestore(Stores.ROS2_HUMBLE))
        reader.open()
    except Exception as error:  # of rosbags, SQLite, YAML ...: a bag can be damaged in any way
        raise _unreadable(path, error) from error
    try:
        yield reader
    finally:
        reader.close()


def _unreadable(path: Path, error: Exception) -> SourceError:
    reason = " ".join(str(error).split())
    return SourceError(f"the bag {path} cannot be read: {reason or type(error).__name__}")


def _chosen(path: Path, counts: dict[str, int], topic: str) -> str:
    known = ", ".join(sorted(counts))
    if not counts:
        raise SourceError(f"the bag {path} has no pictures")
    if topic:
        if topic not in counts:
            raise SourceError(f"the bag {path} has no pictures on {topic}; it has some on {known}")
        return topic
    if len(counts) > 1:
        raise SourceError(f"the bag {path} has pictures on {known}: choose one of these topics")
    return next(iter(counts))
