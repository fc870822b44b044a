"""Guides describe every option of their command, and no other option."""

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
    guide = repo_root / "docs" / "guide"
    text = (guide / PAGES[command]).read_text(encoding="utf-8")
    if (
        "(images.md#networks-and-detection)" in text
    ):  # the section that describes the options of all pipeline commands
        images = (guide / "images.md").read_text(encoding="utf-8")
        text += images.partition("## Networks and detection\n")[2].partition("\n## ")[0]
    described = set(re.findall(r"--[a-z][a-z-]+", text))
    assert options_of(command) - described - {"--output"} == set()


def test_video_guide_names_existing_options(repo_root: Path) -> None:
    text = (repo_root / "docs" / "guide" / "videos.md").read_text(encoding="utf-8")
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)) <= options_of("video")
