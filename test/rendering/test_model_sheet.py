"""Overview image of a morphable model."""

import numpy as np
from support.synthetic_model import synthetic_model

from tddfa_ros.rendering.model_sheet import (
    model_sheet,
    region_colors,
    render_head,
)


def render(model, vertices, yaw=0.0):
    colors = np.full((len(model.mean), 3), 0.8, np.float32)
    center = model.mean.mean(0)
    return render_head(
        vertices, model.triangles, colors, (120, 120), meters=0.3, center=center, yaw_deg=yaw
    )


def test_head_has_its_size_in_meters():
    model = synthetic_model()
    image = render(model, model.mean)
    rows, columns = np.nonzero((image != image[0, 0]).any(axis=2))
    extent = np.ptp(model.mean, axis=0) * 120 / 0.3
    np.testing.assert_allclose([np.ptp(columns), np.ptp(rows)], extent[:2], atol=2.5)


def test_yaw_turns_the_nose_to_the_right():
    model = synthetic_model()
    nose = model.mean[np.argmax(model.mean[:, 2])]
    marked = np.linalg.norm(model.mean - nose, axis=1) < 0.02
    colors = np.where(marked[:, None], [0, 0, 1.0], [0.6, 0.6, 0.6]).astype(np.float32)
    arguments = {"meters": 0.3, "center": model.mean.mean(0)}
    columns = []
    for yaw in (0.0, 40.0):
        image = render_head(
            model.mean, model.triangles, colors, (120, 120), yaw_deg=yaw, **arguments
        ).astype(int)
        columns.append(np.nonzero(image[..., 2] - image[..., 1] > 60)[1].mean())
    assert columns[1] > columns[0] + 10


def test_sheet_holds_a_cell_for_every_expression():
    model = synthetic_model()
    sheet = model_sheet(model)
    few = model_sheet(synthetic_model(expressions=9))
    assert sheet.shape[1] == few.shape[1]
    assert sheet.shape[0] - few.shape[0] == 5 * (176 + 22)  # 6 rows of nine against one


def test_regions_are_colored_by_name():
    colors = region_colors(synthetic_model())
    assert colors.shape == (len(synthetic_model().mean), 3)
    assert (colors > 0.2).all()
