"""Generate the images of docs/guide with the commands of the pages.

    python scripts/draw_guide.py [NAME...]      # writes docs/guide/images/*.jpg; all of them, or images, maps, ...

Run it after a change of the networks or of the rendering. The portrait is the astronaut of scikit-image (NASA, public domain).
Two pages show browser screenshots, which need Chromium and three.js, as the tests do (``npm install three``).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from skimage import data
from tqdm import tqdm

from tddfa_ros.face import Face
from tddfa_ros.sources import create_source
from tddfa_ros.types import ImageBGR

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "test"))  # for the browser of the tests
IMAGES = ROOT / "docs" / "guide" / "images"
PHOTO = Path("astronaut.png")
CLOSE = np.s_[5:205, 125:325]
"""Region of the face in the portrait."""
HEAD = np.s_[0:240, 105:345]
SIDE = 480


def tddfa(*arguments: str) -> None:
    """Run the command in the current folder."""
    command = [sys.executable, "-m", "tddfa_ros", *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def keep(name: str, image: ImageBGR, quality: int = 88) -> None:
    """Write an image of the guide."""
    cv2.imwrite(str(IMAGES / f"{name}.jpg"), image, [cv2.IMWRITE_JPEG_QUALITY, quality])


def read(name: str) -> ImageBGR:
    """Read an image that a command has written."""
    image = cv2.imread(name)
    if image is None:
        raise SystemExit(f"{name} was not written")
    return image


def cut(image: ImageBGR, part: tuple[slice, slice]) -> ImageBGR:
    """Crop and enlarge a part of the portrait."""
    return cv2.resize(image[part], (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)


def images() -> None:
    """docs/guide/images.md and attributes.md."""
    layers = ("landmarks", "mesh", "pose", "attributes")
    tddfa("image", str(PHOTO), "-o", "out", "--outputs", ",".join(layers))
    for layer in layers:
        keep(f"astronaut_{layer}", read(f"out/astronaut_{layer}.jpg"))


def maps() -> None:
    """docs/guide/maps.md: run the code of the page, which writes the image."""
    page = (ROOT / "docs" / "guide" / "maps.md").read_text(encoding="utf-8")
    for block, name in enumerate(("maps", "network_maps"), start=1):
        exec(compile(page.split("```python\n")[block].split("```")[0], "maps.md", "exec"), {})
        keep(name, read(f"{name}.jpg"))


def videos() -> None:
    """docs/guide/videos.md: three frames of a video of the demo."""
    source = create_source("demo", 640, 480, 15.0, True)
    writer = cv2.VideoWriter("talk.mp4", cv2.VideoWriter.fourcc(*"mp4v"), 15.0, (640, 480))
    for index in range(60):
        frame = source.read(index / 15.0)
        if frame is None:
            raise SystemExit("the demo has ended early")
        writer.write(frame.image)
    writer.release()
    source.close()
    tddfa("video", "talk.mp4", "-o", "out.mp4", "--no-audio")
    shown = cv2.VideoCapture("out.mp4")
    frames = [frame for ok, frame in (shown.read() for _ in range(60)) if ok]
    shown.release()
    size = (480, 360)
    keep("video_frames", np.hstack([cv2.resize(frames[i], size, interpolation=cv2.INTER_AREA) for i in (10, 32, 54)]))  # fmt: skip


def editing() -> None:
    """docs/guide/editing.md."""
    tddfa("edit", str(PHOTO), "--set", "jawOpen=.8", "--set", "browInnerUp=.8", "-o", "jaw.png")
    tddfa("edit", str(PHOTO), "--set", "child_proportions=1", "-o", "child.png")
    tddfa("edit", "--preview", "-o", "attributes.png")
    command = [
        sys.executable,
        str(ROOT / "scripts" / "contact_sheets.py"),
        ".",
        "--image",
        str(PHOTO),
    ]
    sheets = ("jaw", "blink", "mouth", "age")
    subprocess.run([*command, *sheets], check=True, stdout=subprocess.DEVNULL)
    for sheet in sheets:
        keep(f"sheet_{sheet}", read(f"{sheet}.jpg"))
    keep("edit_jaw_open", read("jaw.png"))
    keep("edit_child_proportions", read("child.png"))
    keep("attributes", read("attributes.png"))


def makeup() -> None:
    """docs/guide/makeup.md."""
    keep("makeup_before", cut(read(str(PHOTO)), CLOSE))
    for preset in ("natural", "evening", "clown", "fan"):
        tddfa("makeup", str(PHOTO), "-o", f"{preset}.png", "--preset", preset)
        keep(f"makeup_{preset}", cut(read(f"{preset}.png"), CLOSE))
    for sample in ("glasses", "hat"):
        tddfa("tryon", str(PHOTO), "-o", f"{sample}.png", "--glb", sample)
        keep(f"tryon_{sample}", cut(read(f"{sample}.png"), HEAD))


def meshes() -> None:
    """docs/guide/meshes.md: the portrait's GLB in three.js."""
    from support.browser import show_glb, three_folder

    tddfa("image", str(PHOTO), "-o", "out", "--outputs", "glb")
    Path("out/astronaut_1.glb").rename("face.glb")
    smile = "mouthSmileLeft=.6&mouthSmileRight=.6&browInnerUp=1"
    shown = [
        show_glb(three_folder(ROOT), Path.cwd(), query)[1] for query in ("", "jawOpen=1", smile)
    ]
    keep("glb", np.hstack([image[80:400, 80:400] for image in shown]))


def avatars() -> None:
    """docs/guide/avatars.md: the web page with the smile of the portrait, as the mean head and as an avatar of another rig."""
    from tddfa_ros.pipeline import FacePipeline

    rig = Path("avatar.glb")
    subprocess.run([sys.executable, ROOT / "scripts/make_sample_avatar.py", rig], check=True)
    face = FacePipeline()(read(str(PHOTO))[HEAD])[0]  # in the middle of the image
    keep("avatar", avatar_page(face))
    keep("avatar_rig", avatar_page(face, rig))


def avatar_page(face: Face, rig: Path | None = None) -> np.ndarray:
    """Return a screenshot of the web page that shows a face."""
    from support.browser import Page, three_folder

    from tddfa_ros.avatar import AvatarFrame, AvatarServer, BlendShapes

    server = AvatarServer(face.model, three=three_folder(ROOT), rig=rig)
    shapes = BlendShapes(face.model.expression_names)(face.expression_coefficients)
    pose = face.head_pose
    frame = AvatarFrame.from_pose(0.0, "f1", shapes, pose.rotation, pose.position)
    done = threading.Event()

    def send() -> None:
        while not done.wait(0.05):
            server.send([frame])

    threading.Thread(target=send, daemon=True).start()
    try:
        with Page(server.url, Path("profile" if rig is None else "rig"), (1100, 660)) as page:
            page.until(
                lambda: page.evaluate("avatar().frames > 3"), "the page did not show the face"
            )
            return page.screenshot()
    finally:
        done.set()
        server.close()


PAGES: dict[str, Callable[[], None]] = {
    draw.__name__: draw for draw in (images, maps, videos, editing, makeup, meshes, avatars)
}


def main(names: Sequence[str]) -> None:
    """Draw the images of the named pages."""
    unknown = sorted(set(names) - set(PAGES))
    if unknown:
        raise SystemExit(f"unknown page {unknown[0]}: known are {', '.join(PAGES)}")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.chdir(folder)
        cv2.imwrite(str(PHOTO), data.astronaut()[..., ::-1])
        for name in tqdm(names or list(PAGES), unit="page"):
            PAGES[name]()


if __name__ == "__main__":
    main(sys.argv[1:])
