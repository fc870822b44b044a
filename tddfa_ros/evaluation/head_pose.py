"""Head rotation error on AFLW2000-3D."""

from __future__ import annotations

import numpy as np
from tqdm import tqdm

from tddfa_ros.evaluation.prediction import Predictor
from tddfa_ros.evaluation.result import Row, SuiteResult, binned
from tddfa_ros.evaluation.sets import WHOLE_CROP, Sets, arrays, chosen, read_image
from tddfa_ros.geometry.metrics import angle_difference, constant_tilt, geodesic_deg
from tddfa_ros.geometry.pose import angles_300w_lp, rotation_from_300w_lp
from tddfa_ros.geometry.rotation import log
from tddfa_ros.types import RealArray

LARGEST = 99.0
"""Faces with a labeled angle beyond this, degrees, are excluded, as in Hopenet (Ruiz et al., CVPRW 2018)."""

_TITLE = "AFLW2000-3D, rotation of the head"


def evaluate(predictor: Predictor, sets: Sets) -> SuiteResult:
    """Measure geodesic error and mean absolute error of yaw, pitch and roll, raw and without a constant rotation.

    Angles are those of the labels, 300W-LP's, for both; see :func:`tddfa_ros.geometry.pose.angles_300w_lp`.
    """
    folder = sets.folder("aflw2000")
    labels = arrays(folder / "gt.npz", "name", "pitch_yaw_roll_rad")
    degrees = np.degrees(labels["pitch_yaw_roll_rad"].astype(np.float64))[:, [1, 0, 2]]
    labels["degrees"] = degrees
    usual = np.asarray(np.abs(degrees).max(axis=1) <= LARGEST)
    truth = sets.some(chosen(labels, usual))
    found = []
    for name in tqdm(truth["name"], desc="head pose", disable=None):
        crop = read_image(folder / "crop120" / str(name))
        rotation = predictor.regress(crop, WHOLE_CROP)[0].rotation
        if rotation is None:
            return SuiteResult("pose", _TITLE, [Row("as it is", 0, {})], "No rotation is given.")
        found.append(rotation)
    return compare(np.stack(found), truth["degrees"])


def compare(found: RealArray, degrees: RealArray) -> SuiteResult:
    """Compute the figures of rotations (n, 3, 3), crop frame <- model, against 300W-LP's yaw, pitch, roll (n, 3), degrees."""
    wanted = rotation_from_300w_lp(degrees)
    tilt = constant_tilt(found, wanted)
    turn = np.degrees(log(tilt))
    note = (
        f"Degrees. {len(found)} faces whose labeled angles are all within {LARGEST:g} degrees. The second row takes out the one rotation "
        f"of the model by which its straight-ahead head differs from the labels': {np.linalg.norm(turn):.2f} degrees (about x, y, z of "
        f"the head: {turn[0]:+.2f}, {turn[1]:+.2f}, {turn[2]:+.2f})."
    )
    rows = [
        Row("as it is", len(found), _figures(found, wanted, degrees)),
        Row("without constant tilt", len(found), _figures(found @ tilt.T, wanted, degrees)),
    ]
    return SuiteResult("pose", _TITLE, rows, note)


def _figures(found: RealArray, wanted: RealArray, degrees: RealArray) -> dict[str, float | None]:
    errors = angle_difference(angles_300w_lp(found), degrees).mean(axis=0)
    mae = dict(zip(("yaw", "pitch", "roll"), (float(error) for error in errors), strict=True))
    geodesic = binned("geodesic", geodesic_deg(found, wanted), degrees[:, 0])
    return {**mae, "MAE": float(errors.mean()), **geodesic}
