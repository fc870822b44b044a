"""``tddfa dataset``: prepare face collections for training. Every public module of this package defines the subcommand of its name."""

from __future__ import annotations

from tddfa_ros.cli import _files as files
from tddfa_ros.cli.dataset import cache, check, fit, pack, refine, render, unpack


@files.group("dataset", short_help="Prepare face collections for training.")
def command() -> None:
    """Datasets for training: fit the morphable model to landmarks, render seg maps and UV position maps, check, and cache crops.

    A dataset is a folder with images/NAME.jpg, params/NAME.npy, optionally rois/NAME.npy, seg_maps/NAME.png and uv_maps/NAME.png or .npz, and
    list files with one NAME per line.
    """


for _module in (cache, pack, unpack, check, fit, render, refine):
    command.add_command(_module.command)
