"""The guides name every option of the commands that they describe, and none that there is not."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import click
import pytest

PAGES = {"image": "images.md", "video": "videos.md", "batch": "speed.md"}


def options_of(command: str) -> set[str]:
    found = importlib.import_module(f"tddfa_ros.cli.{command}").command
    assert isinstance(found, click.Command)
    return {o for p in found.params if isinstance(p, click.Option) for o in p.opts if o[:2] == "--"}


@pytest.mark.parametrize("command", PAGES)
def test_every_option_is_described(command: str, repo_root: Path) -> None:
    text = (repo_root / "docs" / "guide" / PAGES[command]).read_text(encoding="utf-8")
    described = set(re.findall(r"--[a-z][a-z-]+", text))
    assert options_of(command) - described - {"--output"} == set()


def test_no_option_of_the_video_guide_is_made_up(repo_root: Path) -> None:
    text = (repo_root / "docs" / "guide" / "videos.md").read_text(encoding="utf-8")
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)) <= options_of("video")
