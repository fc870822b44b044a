from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tddfa_ros.avatar import AvatarFrame, JsonLines, from_line, to_line
from tddfa_ros.errors import ConfigError, TddfaError


def test_line_is_json_with_names(frame: AvatarFrame) -> None:
    record = json.loads(to_line(frame))
    assert record["id"] == "f3" and record["stamp"] == 3725.5
    assert record["blendshapes"]["eyeBlinkLeft"] == 1 and len(record["blendshapes"]) == 52
    assert record["yaw_pitch_roll"] == [20, 10, 5] and record["position"] == [0.1, -0.05, -0.5]


def test_file_round_trip(frame: AvatarFrame, tmp_path: Path) -> None:
    lines = JsonLines(tmp_path / "faces.jsonl")
    lines.send([frame])
    assert (tmp_path / "faces.jsonl").read_text().count("\n") == 1, "flushed per line"
    lines.send([frame])
    lines.send([])
    lines.close()
    first, second = (from_line(line) for line in (tmp_path / "faces.jsonl").read_text().splitlines())  # fmt: skip
    np.testing.assert_allclose(first.blendshapes, frame.blendshapes, atol=1e-4)
    np.testing.assert_allclose(second.rotation, frame.rotation, atol=1e-5)
    np.testing.assert_allclose(second.position, frame.position, atol=1e-5)


def test_standard_output_stays_open(frame: AvatarFrame, capsys: pytest.CaptureFixture[str]) -> None:
    lines = JsonLines("-")
    lines.send([frame])
    lines.close()
    print("still here")
    assert capsys.readouterr().out.splitlines() == [to_line(frame), "still here"]


@pytest.mark.parametrize("line", ["", "[]", '{"stamp": 1}', '{"stamp": "x", "id": 1}'])
def test_rejects_other_lines(line: str) -> None:
    with pytest.raises(ConfigError, match="not an avatar frame"):
        from_line(line)


def test_rejects_unwritable_file(frame: AvatarFrame, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(TddfaError, match=r"cannot write .*jsonl"):
        JsonLines(tmp_path / "file" / "faces.jsonl").send([frame])


def test_existing_file_is_kept_until_there_is_a_face(frame: AvatarFrame, tmp_path: Path) -> None:
    path = tmp_path / "faces.jsonl"
    path.write_text("earlier\n")
    lines = JsonLines(path)
    lines.send([])
    lines.close()
    assert path.read_text() == "earlier\n"
    lines = JsonLines(path)
    lines.send([frame])
    lines.close()
    assert path.read_text() == to_line(frame) + "\n"
