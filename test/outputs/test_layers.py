from __future__ import annotations

import re

import click
import numpy as np
import pytest

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx", reason="needed to build the network under test")

from support.blobs import blob_image, blob_pipeline

from tddfa_ros.cli import image, video
from tddfa_ros.errors import ConfigError
from tddfa_ros.outputs.layers import LAYERS, paint_layers, scene_depth
from tddfa_ros.outputs.registry import OUTPUTS
from tddfa_ros.pipeline import FacePipeline
from tddfa_ros.rendering import depth_map


@pytest.fixture(scope="module")
def pipe(tmp_path_factory: pytest.TempPathFactory) -> FacePipeline:
    return blob_pipeline(tmp_path_factory.mktemp("models"))


@pytest.mark.parametrize("name", ["mesh", "landmarks", "pose"])
def test_layer_draws_on_a_copy_near_the_face(pipe: FacePipeline, name: str) -> None:
    image = np.full((300, 500, 3), 90, np.uint8)
    image[:120, :160] = blob_image(80)
    faces = pipe(image)
    before = image.copy()
    painted = paint_layers(image, faces, pipe.model, [name])
    np.testing.assert_array_equal(image, before)
    changed = (painted != before).any(axis=2)
    assert changed.sum() > 50
    assert not changed[:, 260:].any() and not changed[200:].any()


def test_last_layer_is_on_top(pipe: FacePipeline) -> None:
    image = blob_image(80)
    faces = pipe(image)
    both = paint_layers(image, faces, pipe.model, ["mesh", "landmarks"])
    reverse = paint_layers(image, faces, pipe.model, ["landmarks", "mesh"])
    only = paint_layers(image, faces, pipe.model, ["landmarks"])
    drawn = (only != image).any(axis=2)

    def closeness(a: np.ndarray) -> float:
        return float(np.abs(a[drawn].astype(int) - only[drawn]).mean())

    assert closeness(both) < closeness(reverse)


def test_no_layer_gives_a_copy(pipe: FacePipeline) -> None:
    image = blob_image(80)
    painted = paint_layers(image, pipe(image), pipe.model, [])
    np.testing.assert_array_equal(painted, image)
    assert painted is not image


def test_rejects_unknown_layer(pipe: FacePipeline) -> None:
    with pytest.raises(ConfigError, match="unknown layer 'hat': known are mesh, landmarks, pose"):
        paint_layers(blob_image(80), [], pipe.model, ["mesh", "hat"])
    assert list(LAYERS) == ["mesh", "landmarks", "pose", "depth", "pncc", "parsing", "attributes"]


def test_scene_depth_shows_every_face(pipe: FacePipeline) -> None:
    faces = pipe(blob_image(40)) + pipe(blob_image(120))
    depth = scene_depth(faces, (120, 160))
    alone = [np.isfinite(depth_map(face, (120, 160))) for face in faces]
    np.testing.assert_array_equal(np.isfinite(depth), alone[0] | alone[1])


@pytest.mark.parametrize("name", ["depth", "pncc", "parsing"])
def test_maps_cover_the_face(pipe: FacePipeline, name: str) -> None:
    image = blob_image(80)
    painted = paint_layers(image, pipe(image), pipe.model, [name])
    changed = (painted != image).any(axis=2)
    assert np.nonzero(changed)[1].mean() == pytest.approx(80, abs=4)


def test_output_help_matches_layer_help() -> None:
    shared = set(LAYERS) & set(OUTPUTS)
    assert shared == set(LAYERS), "every layer is also an output"
    for name in shared:
        assert OUTPUTS[name].help.startswith(LAYERS[name].help)


def test_command_line_help_lists_layers_and_outputs() -> None:
    def names(command: click.Command, option: str) -> list[str]:
        (found,) = (p for p in command.params if p.name == option)
        return re.split(r",\s*", str(found.help).rpartition(": ")[2].rstrip("."))

    assert names(video.command, "overlay") == list(LAYERS)
    assert sorted(names(image.command, "outputs")) == sorted([*OUTPUTS, "json"])
