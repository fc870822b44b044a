from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra [training] (torch) is not installed")

from support.tiny_networks import as_input, settled, textures  # noqa: E402

from tddfa_ros.training.networks import (  # noqa: E402
    BACKBONES,
    OPTIONAL_HEADS,
    PARSING_CLASSES,
    UV_SIZE,
    FaceNet,
    MobileNetV1,
    normalize,
)

COUNT = 20


def network(heads: tuple[str, ...] = (), net_stride: int = 32, width: float = 0.125) -> FaceNet:
    torch.manual_seed(0)
    mean, std = torch.linspace(-3, 3, COUNT), torch.linspace(0.1, 2, COUNT)
    return FaceNet(MobileNetV1(width, net_stride), mean, std, heads).eval()


def crops(count: int, size: int) -> torch.Tensor:
    return as_input(textures(count, size))


@pytest.mark.parametrize(
    ("net_stride", "strides"), [(8, (4, 8)), (16, (4, 8, 16)), (32, (4, 8, 16, 32))]
)
@pytest.mark.parametrize("name", BACKBONES)
def test_backbone_describes_its_feature_maps(
    name: str, net_stride: int, strides: tuple[int, ...]
) -> None:
    backbone = BACKBONES[name](0.125, net_stride).eval()
    assert backbone.strides == strides
    with torch.no_grad():
        maps = backbone(crops(2, 96))
    assert [tuple(m.shape) for m in maps] == [
        (2, channels, 96 // stride, 96 // stride)
        for channels, stride in zip(backbone.channels, backbone.strides, strict=True)
    ]


def test_mobilenet_v1_has_the_published_size() -> None:
    """Howard et al. 2017, table 6: 4.2 M parameters at width 1 and 1.3 M at 0.5, of which the classifier has 1000 x (1024 or 512) + 1000."""
    for width, published in ((1.0, 4.2), (0.5, 1.3)):
        backbone = MobileNetV1(width)
        count = sum(p.numel() for p in backbone.parameters())
        classifier = 1000 * backbone.channels[-1] + 1000
        assert (count + classifier) / 1e6 == pytest.approx(published, abs=0.06)


@pytest.mark.parametrize("size", [96, 120, 160, 192])
@pytest.mark.parametrize("net_stride", [8, 16, 32])
def test_all_heads_at_several_sizes(size: int, net_stride: int) -> None:
    with torch.no_grad():
        found = network(OPTIONAL_HEADS, net_stride)(crops(2, size))
    assert found.params.shape == (2, COUNT)
    assert found.landmarks.shape == (2, 68, 2)
    assert found.confidence.shape == (2,)
    assert found.parsing.shape == (2, PARSING_CLASSES, size // 4, size // 4)
    assert found.uv_position.shape == (2, 3, UV_SIZE, UV_SIZE)


@pytest.mark.parametrize("head", OPTIONAL_HEADS)
def test_disabled_heads_predict_none(head: str) -> None:
    with torch.no_grad():
        found = network((head,))(crops(1, 96))
    told = {name for name in OPTIONAL_HEADS if getattr(found, name) is not None}
    assert told == {head}


def test_untrained_network_predicts_near_mean_face() -> None:
    net = settled(network())
    landmarks = torch.from_numpy(np.random.default_rng(1).uniform(10, 110, (68, 2))).float()
    net.start_at(landmarks)
    with torch.no_grad():
        found = net(crops(3, 120))
    assert ((found.params - net.mean) / net.std).abs().max() < 0.5
    assert (found.landmarks - landmarks).abs().max() < 20
    with torch.no_grad():
        net.param_head.weight.zero_()
        net.landmark_head.weight.zero_()
        found = net(crops(1, 120))
    torch.testing.assert_close(found.params[0], net.mean)
    torch.testing.assert_close(found.landmarks[0], landmarks)


def test_untrained_uv_head_predicts_crop_center() -> None:
    with torch.no_grad():
        position = settled(network(("uv_position",)))(crops(2, 120)).uv_position
    # random weights shift it by some px; without the offset the mean would be 0
    assert (position.mean(dim=(0, 2, 3)) - torch.tensor([60.0, 60.0, 0.0])).abs().max() < 30


def test_normalize_matches_the_regressor() -> None:
    image = torch.tensor([0, 127, 128, 255], dtype=torch.uint8).reshape(1, 1, 2, 2)
    scaled = normalize(image.expand(1, 3, 2, 2))
    expected = [-127.5 / 128, -0.5 / 128, 0.5 / 128, 127.5 / 128]
    torch.testing.assert_close(scaled[0, 0].flatten(), torch.tensor(expected))


def test_positions_are_exact_under_autocast() -> None:
    """bfloat16 has 8 bits: a landmark at 100 px would be rounded to half a px."""
    net = settled(network(OPTIONAL_HEADS))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        found = net(crops(8, 96))
    for places in (found.params, found.landmarks, found.uv_position):
        assert places.dtype == torch.float32
        assert places.isfinite().all()
        assert (places != places.bfloat16().float()).float().mean() > 0.5
