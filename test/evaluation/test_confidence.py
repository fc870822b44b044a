from __future__ import annotations

import numpy as np
import pytest

from tddfa_ros.evaluation.confidence import (
    ALL_FACES,
    BACKGROUND,
    FACES,
    OBJECTS,
    SCRAMBLED,
    SHIFTED,
    summary,
)


def groups(**changed: list[float]) -> dict[str, np.ndarray]:
    scores = {name: [0.9, 0.8] for name in FACES} | {
        BACKGROUND: [0.1, 0.2],
        SHIFTED: [0.3],
        SCRAMBLED: [0.0],
    }
    return {name: np.array(values) for name, values in (scores | {OBJECTS: []} | changed).items()}


def test_separable_scores_have_auc_one() -> None:
    result = summary(groups())
    for name in (ALL_FACES, *FACES, BACKGROUND, SHIFTED, SCRAMBLED):
        assert result.figure(name, "AUC") == 1.0
    assert result.figure(ALL_FACES, "over 0.5") == 1.0
    assert result.figure(BACKGROUND, "over 0.5") == 0.0
    assert result.figure(BACKGROUND, "median") == pytest.approx(0.15)
    assert result.figure(OBJECTS, "AUC") is None


def test_auc_compares_faces_with_background_and_groups() -> None:
    result = summary(groups(**{FACES[0]: [0.15, 0.9], SHIFTED: [0.85]}))
    assert result.figure(FACES[0], "AUC") == pytest.approx(3 / 4)
    assert result.figure(FACES[1], "AUC") == 1.0
    assert result.figure(ALL_FACES, "AUC") == pytest.approx(15 / 16)
    assert result.figure(SHIFTED, "AUC") == pytest.approx(4 / 8)  # 0.9 four times
    assert result.figure(FACES[0], "over 0.5") == 0.5


def test_no_figures_without_confidence() -> None:
    result = summary({name: np.zeros(0) for name in groups()})
    assert all(result.figure(row.name, "AUC") is None for row in result.rows)
