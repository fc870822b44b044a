"""``process_bag``: run the pipeline on every image of a bag and write the messages of the graph to a new bag.

The graph works on the newest image and drops what it cannot process in time; here every image is processed, at the speed of the
machine. Faces are tracked and smoothed by the stamps, as ``face_node`` and ``smoothing_node`` do, but as those of a recording: smoothing
looks ahead, and a face is written from the first image in which it is found.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import secrets
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ament_index_python.packages import get_package_share_directory
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage
from tqdm import tqdm

from tddfa_msgs.msg import FaceLandmarksArray, FaceMeshArray, FaceTopology
from tddfa_ros.config import PipelineConfig, load_config
from tddfa_ros.errors import ConfigError, ImageError, TddfaError
from tddfa_ros.face import TrackedFace
from tddfa_ros.files import write_error
from tddfa_ros.nodes.camera_state import CameraState
from tddfa_ros.nodes.convert.images import to_bgr
from tddfa_ros.nodes.convert.messages import NANOSECONDS, stamp_ns, topology_message
from tddfa_ros.nodes.face_publisher import face_landmarks_array, face_mesh_array, transform
from tddfa_ros.nodes.ros.runner import EXIT_USER_ERROR
from tddfa_ros.nodes.ros.stamps import StampCheck
from tddfa_ros.nodes.ros.throttle import ThrottledLog
from tddfa_ros.pipeline import FacePipeline
from tddfa_ros.recording import RecordingTracker
from tddfa_ros.sources.bag import BagImages, read_messages

TOPICS = {
    "/face_mesh": (FaceMeshArray, "tddfa_msgs/msg/FaceMeshArray"),
    "/face_landmarks": (FaceLandmarksArray, "tddfa_msgs/msg/FaceLandmarksArray"),
    "/face_mesh/topology": (FaceTopology, "tddfa_msgs/msg/FaceTopology"),
    "/tf": (TFMessage, "tf2_msgs/msg/TFMessage"),
}
IMAGE_TYPES = {"sensor_msgs/msg/Image": Image, "sensor_msgs/msg/CompressedImage": CompressedImage}
FALLBACK_FRAME = "camera_optical_frame"


@dataclass
class Result:
    """What was read and written.

    Attributes:
        images: processed images.
        skipped: images that cannot be decoded, are late, or repeat a stamp.
        faces: faces in all images.
    """

    images: int = 0
    skipped: int = 0
    faces: int = 0


def process_bag(
    bag: Path,
    output: Path,
    config: PipelineConfig,
    *,
    topic: str = "",
    camera_info: str = "",
    rectified: str = "auto",
    vertices: bool = False,
    progress: bool = False,
) -> Result:
    """Process every image of a bag and write ``face_mesh``, ``face_landmarks``, topology and ``/tf`` to a new MCAP bag.

    Args:
        bag: folder of a bag, or a ``.db3`` or ``.mcap`` file.
        output: folder of the new bag; must not exist.
        config: detection, regression, tracking, smoothing and camera.
        topic: image topic; empty = the only one.
        camera_info: CameraInfo topic; empty = ``camera_info`` beside the image topic.
        rectified: ``true``, ``false`` or ``auto``, as the parameter ``image_is_rectified``.
        vertices: whether to write the vertices of ``face_mesh``.
        progress: whether to show a progress bar.

    Raises:
        SourceError: the bag cannot be read.
        TddfaError: the new bag exists or cannot be written.
        ModelError: a model is missing.
    """
    images = BagImages(bag, topic)
    camera_info = (
        camera_info or f"{images.topic.removesuffix('/compressed').rpartition('/')[0]}/camera_info"
    )
    log = ThrottledLog(logging.getLogger("process_bag"))
    camera = CameraState(log, camera_info, config.camera.assumed_fov_deg, images.topic, rectified)
    pipeline = FacePipeline(config)
    recording: RecordingTracker[_Image] = RecordingTracker(pipeline)
    result, at = Result(), 0
    stamps = StampCheck(lambda: at)
    bar = tqdm(total=len(images), unit="image", disable=not progress)
    with bar, _Recorder(output) as recorder:
        for name, kind, at, data in read_messages(bag, [images.topic, camera_info]):
            if name == camera_info:
                camera.update(deserialize_message(data, CameraInfo))
                continue
            bar.update()
            message = deserialize_message(data, IMAGE_TYPES[kind])
            if not stamps.accept(message):
                result.skipped += 1
                continue
            try:
                image = to_bgr(message, config.input.max_image_pixels)
            except ImageError as error:
                log.exception("reading an image", error)
                result.skipped += 1
                continue
            header, frame = message.header, message.header.frame_id
            header.frame_id = frame or FALLBACK_FRAME
            model, info = camera.model_for(image.shape[1], image.shape[0], header, frame)
            if not result.images:
                topology = topology_message(pipeline.model, header.stamp)
                recorder.write("/face_mesh/topology", at, topology)
            result.images += 1
            seconds = stamp_ns(header.stamp) / NANOSECONDS
            for done, faces in recording.step(image, seconds, _Image(at, header, info), model):
                result.faces += recorder.write_faces(done, faces, vertices)
        for done, faces in recording.finish():
            result.faces += recorder.write_faces(done, faces, vertices)
    return result


class _Image(NamedTuple):
    """An image of a bag: the time at which it was recorded, ns, its header, and the calibration of its camera."""

    at: int
    header: Header
    info: CameraInfo


class _Recorder:
    """Writes messages of rclpy to an MCAP bag with rosbags.

    The folder appears when the bag is complete, or ends early by Ctrl-C; after an error there is none.

    Raises:
        ConfigError: the folder exists.
        TddfaError: it cannot be written; so do all methods.
    """

    def __init__(self, folder: Path) -> None:
        if folder.exists():
            raise ConfigError(f"{folder} exists; choose another folder for the new bag")
        self._folder = folder
        self._temporary = folder.with_name(f".{secrets.token_hex(6)}.part")

    def __enter__(self) -> _Recorder:
        from rosbags.rosbag2 import StoragePlugin, Writer

        store = _typestore()
        with self._removed_after_errors():
            self._temporary.mkdir(parents=True)
            # The file in the folder has the name of the folder.
            bag = self._temporary / self._folder.name
            self._writer = Writer(bag, version=9, storage_plugin=StoragePlugin.MCAP)
            self._writer.open()
            self._connections = {
                topic: self._writer.add_connection(topic, kind, typestore=store)
                for topic, (_, kind) in TOPICS.items()
            }
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        if kind is not None and issubclass(kind, Exception):
            shutil.rmtree(self._temporary, ignore_errors=True)
            return
        with self._removed_after_errors():
            self._writer.close()
            (self._temporary / self._folder.name).rename(self._folder)
            self._temporary.rmdir()

    def write(self, topic: str, at: int, message: Any) -> None:
        """Write a message of one of :data:`TOPICS`, recorded at ``at``, ns."""
        with self._removed_after_errors():
            self._writer.write(self._connections[topic], at, serialize_message(message))

    def write_faces(self, image: _Image, faces: Sequence[TrackedFace], vertices: bool) -> int:
        """Write the messages of the faces of an image; return the number of faces."""
        at, header, info = image
        meshes = face_mesh_array(faces, header, info, vertices=vertices, image_vertices=False)
        self.write("/face_mesh", at, meshes)
        self.write("/face_landmarks", at, face_landmarks_array(faces, header, info))
        transforms = [transform(face, header) for face in faces]
        self.write("/tf", at, TFMessage(transforms=transforms))
        return len(faces)

    @contextlib.contextmanager
    def _removed_after_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            shutil.rmtree(self._temporary, ignore_errors=True)
            raise write_error(self._folder, error, self._temporary) from error


def _typestore() -> Any:
    """Return a type store of rosbags with the messages of this package."""
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    store = get_typestore(Stores.ROS2_HUMBLE)
    for path in sorted(Path(get_package_share_directory("tddfa_msgs"), "msg").glob("*.msg")):
        text = path.read_text(encoding="utf-8")
        store.register(get_types_from_msg(text, f"tddfa_msgs/msg/{path.stem}"))
    return store


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="process_bag",
        description="Track and smooth the faces in every image of a bag, and write face_mesh, face_landmarks, "
        "face_mesh/topology and /tf to a new MCAP bag.",
    )
    parser.add_argument("bag", type=Path, help="folder of a bag, or a .db3 or .mcap file")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the new bag")
    parser.add_argument("--topic", default="", help="image topic; default: the only one")
    parser.add_argument("--camera-info", default="", help="default: camera_info beside the images")
    parser.add_argument("--params-file", type=Path, help="parameters, such as config/face.yaml")
    parser.add_argument("--rectified", choices=["auto", "true", "false"], default="auto")
    parser.add_argument("--vertices", action="store_true", help="write the dense vertices as well")
    return parser.parse_args(list(arguments))


def main() -> None:
    """Console script ``process_bag``."""
    options = parse(sys.argv[1:])
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    try:
        result = process_bag(
            options.bag,
            options.output,
            load_config(options.params_file),
            topic=options.topic,
            camera_info=options.camera_info,
            rectified=options.rectified,
            vertices=options.vertices,
            progress=sys.stderr.isatty(),
        )
    except TddfaError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        sys.exit(EXIT_USER_ERROR)
    except KeyboardInterrupt:
        print(f"interrupted; {options.output} ends early", file=sys.stderr, flush=True)
        sys.exit(130)
    skipped = f", {result.skipped} skipped" if result.skipped else ""
    print(f"{result.images} images{skipped}, {result.faces} faces -> {options.output}")
    sys.exit(1 if result.skipped else 0)


if __name__ == "__main__":
    main()
