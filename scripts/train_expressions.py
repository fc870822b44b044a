"""Train the classifier of basic expressions on labeled face squares, and print confusion tables of the held-out half.

    python scripts/train_expressions.py ck.npz fer.npz [-o tddfa_ros/attributes/expression_weights.json]

Each file has ``image`` (n, S, S) uint8 gray, filled by the face; ``label`` (n,), indices of ``labels``; ``split`` (n,), "train" or "eval"; and
optionally ``subject`` (n,), the person. The label ``other`` is for faces that show none of the expressions, such as yawns. Without -o the classifier of this package is evaluated and nothing is trained.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tddfa_ros.attributes.expression_classifier import (
    EXPRESSIONS,
    ExpressionClassifier,
    default_classifier,
)
from tddfa_ros.pipeline import FacePipeline
from tddfa_ros.training.attributes.expressions import (
    OTHER,
    confusion,
    cross_validated_penalty,
    fit,
    regress_actions,
)
from tddfa_ros.types import DoubleArray

_NAMES = {
    "neutral": "neutral",
    "happy": "happiness",
    "sad": "sadness",
    "surprise": "surprise",
    "fear": "fear",
    "disgust": "disgust",
    "angry": "anger",
    "other": "other",
}


class Labeled(NamedTuple):
    """Actions (n, A), labels (n,), persons (n,) and whether a row is for training (n,)."""

    actions: DoubleArray
    labels: NDArray[np.int64]
    persons: NDArray[np.str_]
    train: NDArray[np.bool_]


def read(path: Path, pipeline: FacePipeline) -> Labeled:
    """Read a file of labeled squares and regress them; labels without a class are left out."""
    with np.load(path) as stored:
        data = {name: stored[name] for name in stored.files}
    names = np.array([_NAMES.get(str(data["labels"][label]), "") for label in data["label"]])
    kept = names != ""
    index = dict(zip(EXPRESSIONS, range(len(EXPRESSIONS)), strict=True)) | {"other": OTHER}
    labels = np.array([index[name] for name in names[kept]])
    person = data["subject"] if "subject" in data else np.arange(len(names))
    persons = np.array([f"{path.stem} {one}" for one in person[kept]])
    actions = regress_actions(data["image"][kept], pipeline)
    return Labeled(actions, labels, persons, data["split"][kept] == "train")


def train(sets: list[Labeled]) -> ExpressionClassifier:
    """Fit a classifier to the training rows of all sets."""
    actions, labels, persons = (
        np.concatenate([each[i][each.train] for each in sets]) for i in range(3)
    )
    penalty, entropies = cross_validated_penalty(actions, labels, persons.tolist())
    print(f"cross entropy by penalty: {entropies}; penalty {penalty:g}, {len(labels)} faces")
    return fit(actions, labels, penalty)


def report(name: str, probabilities: DoubleArray, labels: NDArray[np.int64]) -> None:
    """Print accuracy, mean recall and the confusion table; of faces with the label ``other``, what they are called."""
    other = labels == OTHER
    if other.any():
        best = np.bincount(probabilities[other].argmax(axis=1), minlength=len(EXPRESSIONS))
        sure = (probabilities[other].max(axis=1) >= 0.5).mean()
        called = ", ".join(
            f"{expression} {share:.2f}"
            for expression, share in zip(EXPRESSIONS, best / best.sum(), strict=True)
        )
        print(f"\n{name}: {other.sum()} other faces, probability 0.5 or more: {sure:.3f}; {called}")
    probabilities, labels = probabilities[~other], labels[~other]
    if not len(labels):
        return
    table = confusion(probabilities, labels)
    present = table.sum(axis=1) > 0
    recall = np.diag(table)[present] / table[present].sum(axis=1)
    right = probabilities.argmax(axis=1) == labels
    sure = probabilities.max(axis=1) >= 0.5
    print(
        f"\n{name}: {len(labels)} faces, accuracy {right.mean():.3f}, mean recall {recall.mean():.3f}; "
        f"probability 0.5 or more: {sure.mean():.3f} of the faces, accuracy {right[sure].mean():.3f}"
    )
    print(f"| label | {' | '.join(EXPRESSIONS)} | faces |")
    print("|---" * (len(EXPRESSIONS) + 2) + "|")
    for expression, row in zip(EXPRESSIONS, table, strict=True):
        if row.sum():
            print(f"| {expression} | {' | '.join(map(str, row))} | {row.sum()} |")


def main() -> None:
    """Train or evaluate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("files", nargs="+", type=Path, help="labeled squares, .npz")
    parser.add_argument("-o", "--output", type=Path, help="train, and write the classifier here")
    options = parser.parse_args()
    pipeline = FacePipeline()
    sets = [read(path, pipeline) for path in options.files]
    if options.output is not None:
        train(sets).save(options.output)
    written = options.output
    classifier = default_classifier() if written is None else ExpressionClassifier.load(written)
    for path, each in zip(options.files, sets, strict=True):
        held_out = ~each.train
        actions, labels = each.actions[held_out], each.labels[held_out]
        report(f"{path.stem}, equally frequent classes", classifier(actions, 1), labels)
        report(f"{path.stem}, default prior of neutral", classifier(actions), labels)


if __name__ == "__main__":
    main()
