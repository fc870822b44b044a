"""Run the commands and Python blocks of each page in order, in a folder with the files of the page."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.documents import PAGES, ROOT, Block, name_of
from support.page_runner import Command, Runner, above, inputs, steps, write_video

NOT_RUN = {
    "CONTRIBUTING.md": 1,
    "docs/faq.md": 2,
    "docs/guide/attributes.md": 1,
    "docs/guide/avatars.md": 4,
    "docs/guide/detectors.md": 4,
    "docs/guide/official_weights.md": 3,
    "docs/guide/speed.md": 8,
    "docs/guide/videos.md": 2,
    "docs/training.md": 13,
    "docs/training_data.md": 1,
    "models/README.md": 4,
    "models/tddfa_attributes.md": 2,
}
"""How many of a page's ``tddfa`` commands carry a reason not to be run. Whoever adds a mark counts it here."""

PYTHON_TOO = {name_of(page) for page in PAGES if page.parent in (ROOT, ROOT / "docs")}
"""Pages whose Python stands by itself; that of the others is run by test_python.py, which brings the names it needs."""

RUN = [
    page
    for page in PAGES
    if any(c.ours and not c.reason for step in steps(page) for c in step.commands)
]


def test_number_of_unexecuted_blocks_is_known() -> None:
    shown = {
        name_of(page): sum(bool(c.ours and c.reason) for step in steps(page) for c in step.commands)
        for page in PAGES
    }
    assert {name: count for name, count in shown.items() if count} == NOT_RUN
    run = sum(c.ours and not c.reason for page in RUN for s in steps(page) for c in s.commands)
    assert run > sum(NOT_RUN.values())


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory, astronaut_path: Path) -> tuple[Path, Path]:
    """Return an image and a short video of a face."""
    import cv2

    video = tmp_path_factory.mktemp("media") / "face.mp4"
    write_video(video, cv2.imread(str(astronaut_path)), 3)
    return astronaut_path, video


@pytest.mark.parametrize("page", RUN, ids=name_of)
def test_page_commands_run_in_order(
    page: Path, media: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tddfa_ros.errors import ModelError
    from tddfa_ros.model_store.store import default_store

    try:
        default_store().path("centerface")
    except ModelError as error:
        pytest.skip(f"a model is unavailable: {error}")
    monkeypatch.chdir(tmp_path)
    with Runner(tmp_path) as runner:
        runner.give(page, *media)
        for step in steps(page):
            for command in step.commands:
                if command.reason:
                    continue
                if command.background or command.words[1:2] == ["watch"]:
                    pytest.importorskip("rclpy", reason="no ROS 2 here: run through `make test`")
                runner.run(command)
            if step.block.language == "python" and not step.reason and name_of(page) in PYTHON_TOO:
                runner.execute(step.block)


# --- the runner itself ---


def page_of(folder: Path, text: str) -> Path:
    path = folder / "page.md"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def any_page(tmp_path: Path) -> Path:
    text = """# Title

<!-- not run make: takes minutes -->

    make demo
    tddfa image face.png -o out.png     # comment

<!-- not run: needs a camera -->
```bash
tddfa video 0 \\
    -o me.mp4
```

<!-- background -->

    face_system --source

Between.

    a drawing ──▶ of something

```python
image = cv2.imread("photo.jpg")
```
"""
    return page_of(tmp_path, text)


def test_marker_applies_to_next_block(any_page: Path) -> None:
    found = [(c.text, c.reason, c.background) for s in steps(any_page) for c in s.commands]
    assert found == [
        ("make demo", "takes minutes", False),
        ("tddfa image face.png -o out.png     # comment", "", False),
        ("tddfa video 0  -o me.mp4", "needs a camera", False),
        ("face_system --source", "", True),
    ]


def test_inputs_are_provided_and_outputs_are_not(any_page: Path) -> None:
    assert sorted(inputs(any_page)) == ["face.png", "photo.jpg"]


def test_failing_command_is_reported(tmp_path: Path) -> None:
    block = Block(ROOT / "README.md", 1, "", "")
    with Runner(tmp_path) as runner:
        with pytest.raises(AssertionError, match="nowhere"):
            runner.run(Command(block, "cat nowhere.txt"))
        with pytest.raises(AssertionError, match="tddfa image"):
            runner.run(Command(block, "tddfa image nowhere.jpg -o out/"))
        with pytest.raises(ZeroDivisionError):
            runner.execute(Block(ROOT / "README.md", 1, "python", "1 / 0"))


def test_only_adjacent_comments_are_markers(tmp_path: Path) -> None:
    page = page_of(tmp_path, "<!-- not run: a -->\n\ntext\n\n    make x\n")
    (step,) = steps(page)
    assert list(above(page.read_text().splitlines(), step.block)) == [""]
    assert step.commands[0].reason == ""
