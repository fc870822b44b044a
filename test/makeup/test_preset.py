from __future__ import annotations

from pathlib import Path

import pytest

from tddfa_ros.errors import ConfigError
from tddfa_ros.makeup import Lipstick, MakeupPreset, Sticker, load_preset, preset_names
from tddfa_ros.makeup.color import from_lab, lab_of, parse_color, to_lab


def write(folder: Path, text: str) -> Path:
    path = folder / "preset.yaml"
    path.write_text(text)
    return path


def test_packaged_presets_load() -> None:
    assert {"natural", "evening", "clown", "fan"} <= set(preset_names())
    presets = {name: load_preset(name) for name in preset_names()}
    assert len(set(presets.values())) == len(presets)
    assert all(preset != MakeupPreset() for preset in presets.values())
    assert [s.place for s in presets["fan"].stickers] == ["left_cheek", "right_cheek"]


def test_preset_from_file_with_changes(tmp_path: Path) -> None:
    path = write(tmp_path, 'lipstick: {color: "#102030"}\nblush: {opacity: 0.2}\n')
    preset = load_preset(
        path, ["lipstick.color=#b0303a", "lipstick.gloss=.5", "brow_tint.fill=0.1"]
    )
    assert preset.lipstick == Lipstick(color="#b0303a", opacity=0.6, gloss=0.5)
    assert preset.blush.opacity == 0.2
    assert preset.brow_tint.opacity == 0.6, "named parts are applied"
    assert preset.eye_shadow.opacity == 0


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("lipstik: {opacity: 1}", "did you mean lipstick"),
        ("lipstick: {opacity: 2}", "lipstick.opacity must be between 0.0 and 1.0"),
        ("lipstick: {color: #b0303a\n}", "lipstick.color must be a string"),
        ("lipstick: {color: red}", "must be written '#rrggbb'"),
        ("lipstick: {shine: 1}", "unknown configuration option lipstick.shine"),
        ("lipstick: 3", "lipstick must be a mapping"),
        ("- a", "must hold a mapping"),
        ("stickers: 3", "stickers must be a list"),
        ("stickers: [{place: nose_tip}]", "must be a mapping with an image"),
        ("stickers: [{image: no.png}]", "no.png of stickers[0] does not exist"),
        ("stickers: [{image: preset.yaml, color: 1}]", "unknown key stickers[0].color"),
        (
            "stickers: [{image: preset.yaml, size: 0}]",
            "the size of a sticker, mm, must be 1 to 500",
        ),
        ("stickers: [{image: preset.yaml, size: big}]", "not 'big'"),
        ("stickers: [{image: preset.yaml, place: 7}]", "stickers[0].place must be a name"),
    ],
)
def test_rejects_invalid_preset_files(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_preset(write(tmp_path, text))
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "changes", "sentence"),
    [
        ("nightly", [], "there is no makeup preset 'nightly': known are "),
        ("none.yaml", [], "cannot read the configuration"),
        ("natural", ["lipstick=red"], "is not of the form part.key=value"),
        ("natural", ["stickers.size=3"], "can only be changed in a file"),
        ("natural", ["lipstick.opacity=much"], "lipstick.opacity must be a finite number"),
        ("natural", ["lipstick.color=12"], "must be written '#rrggbb'"),
    ],
)
def test_rejects_invalid_changes(name: str, changes: list[str], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_preset(name, changes)
    assert sentence in str(caught.value)


def test_constructed_values_are_validated() -> None:
    with pytest.raises(ConfigError, match=r"lipstick.gloss must be 0 to 1, not 7"):
        Lipstick(gloss=7)
    with pytest.raises(ConfigError, match="the opacity of a sticker"):
        Sticker(Path("a.png"), opacity=float("nan"))


def test_colors_and_cielab() -> None:
    assert parse_color("#b0303a") == (0x3A, 0x30, 0xB0)
    assert parse_color("f80") == (0x00, 0x88, 0xFF)
    # White, black and sRGB red in CIELAB under D65, as in any table.
    assert lab_of((255, 255, 255)) == pytest.approx([100, 0, 0], abs=0.05)
    assert lab_of((0, 0, 0)) == pytest.approx([0, 0, 0], abs=0.05)
    assert lab_of((0, 0, 255)) == pytest.approx([53.24, 80.09, 67.20], abs=0.1)
    color = lab_of((40, 90, 160)).reshape(1, 1, 3)
    assert from_lab(color)[0, 0] == pytest.approx([40, 90, 160], abs=0.5)
    assert to_lab(from_lab(color)) == pytest.approx(color, abs=0.5)
