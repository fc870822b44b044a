from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from support.blobs import blob_image, blob_pipeline

from tddfa_ros.errors import ImageError
from tddfa_ros.jobs import groups
from tddfa_ros.jobs.groups import GROUP_SIZE, find_faces, grouped, growing_chunks
from tddfa_ros.pipeline import FacePipeline

pytest.importorskip("onnx", reason="needed to build the network under test")


@pytest.fixture(scope="module")
def pipe(tmp_path_factory: pytest.TempPathFactory) -> FacePipeline:
    return blob_pipeline(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    return [blob_image(x) for x in (40, 62, 85, 110)]


def test_grouped_images_give_the_faces_of_single_images(
    pipe: FacePipeline, images: list[np.ndarray]
) -> None:
    group = [(number, image) for number, image in enumerate(images)]
    for (number, image), outcome in zip(group, find_faces(group, pipe), strict=True):
        assert outcome.item == number and outcome.error is None
        (face,), (single,) = outcome.value.faces, pipe(image)
        np.testing.assert_allclose(face.landmarks68, single.landmarks68, atol=1e-3)
        np.testing.assert_array_equal(face.box, single.box)
        assert face.confidence == pytest.approx(single.confidence, abs=1e-5)
        np.testing.assert_array_equal(face.intrinsics.k, single.intrinsics.k)


def test_failing_images_do_not_affect_their_group(
    pipe: FacePipeline, images: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    gray = np.zeros((9, 9), np.uint8)
    group = [("a", images[0]), ("b", ImageError("b is cut")), ("c", gray), ("d", images[1])]
    outcomes = find_faces(group, pipe)
    assert [outcome.item for outcome in outcomes] == ["a", "b", "c", "d"]
    assert outcomes[1].error == "b is cut" and "(height, width, 3)" in str(outcomes[2].error)
    assert [len(outcomes[i].value.faces) for i in (0, 3)] == [1, 1]

    whole, fit = pipe.align_batch, []

    def fails_on_first(images: list[np.ndarray], boxes: list[np.ndarray]) -> object:
        fit.append(len(images))
        if any(image is group[0][1] for image in images):
            raise ImageError("a face box has no area or contains NaN")
        return whole(images, boxes)

    monkeypatch.setattr(pipe, "align_batch", fails_on_first)
    outcomes = find_faces(group, pipe)
    assert fit == [2, 1, 1]
    assert "no area" in str(outcomes[0].error) and len(outcomes[3].value.faces) == 1


def test_groups_are_bounded_in_images_and_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    small = [(number, np.zeros((2, 2, 3), np.uint8)) for number in range(19)]
    assert [len(group) for group in grouped(small)] == [GROUP_SIZE, GROUP_SIZE, 3]
    monkeypatch.setattr(groups, "_GROUP_PIXELS", 10)
    assert [len(group) for group in grouped(small[:7])] == [3, 3, 1]


def test_chunks_grow_and_hold_every_item_in_order() -> None:
    paths = [Path(str(number)) for number in range(40)]
    chunks = list(growing_chunks(paths, 2))
    assert [len(chunk) for chunk in chunks] == [1, 1, 2, 2, 4, 4, 8, 8, 8, 2]
    assert list(itertools.chain(*chunks)) == paths
    mixed = list(growing_chunks([*paths[:9], "bag image", *paths[9:12]], 1))
    assert list(itertools.chain(*mixed)) == [*paths[:9], "bag image", *paths[9:12]]
    assert ["bag image"] in mixed
