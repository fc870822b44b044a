from __future__ import annotations

import copy

import pytest

from tddfa_ros.errors import ConfigError

torch = pytest.importorskip("torch", reason="the extra [training] (torch) is not installed")

from tddfa_ros.training.loss_weights import LossWeights  # noqa: E402
from tddfa_ros.training.losses.meta_joint import MetaJoint, candidate_weights  # noqa: E402


class Toy:
    """Two weights to be minimized; loss ``first`` depends mostly on one, ``second`` on the other."""

    def __init__(self, noisy: bool = False, optimizer: str = "SGD") -> None:
        torch.manual_seed(0)
        self.place = torch.nn.Linear(2, 1, bias=False)
        with torch.no_grad():
            self.place.weight.copy_(torch.tensor([[10.0, 3.0]]))
        self.optimizer = getattr(torch.optim, optimizer)(self.place.parameters(), lr=0.1)
        self.schedule = torch.optim.lr_scheduler.StepLR(self.optimizer, 7, 0.9)
        self.noisy = noisy
        self.seen: list[tuple[str, int]] = []

    @property
    def parts(self) -> tuple[object, ...]:
        return self.place, self.optimizer, self.schedule

    def step(self, name: str, batch: int) -> None:
        self.seen.append((name, batch))
        x, y = self.place.weight[0]
        loss = x**2 + 0.01 * y**2 if name == "first" else 0.01 * x**2 + y**2
        if self.noisy:
            loss = loss + torch.randn(()) * x
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.schedule.step()

    def score(self) -> float:
        return float(self.place.weight.detach().square().sum())

    def joint(self, every: int = 4, **options: object) -> MetaJoint[int]:
        return MetaJoint(self.parts, self.step, self.score, every, ("first", "second"), **options)


def test_selects_the_better_loss_and_switches() -> None:
    toy = Toy()
    choices = list(toy.joint(every=8).run(range(32)))
    assert [c.name for c in choices] == ["first", "second", "first", "second"]
    for choice in choices:
        assert choice.scores[choice.name] == min(choice.scores.values())
    assert toy.score() == choices[-1].scores[choices[-1].name]
    for name in ("first", "second"):
        alone = Toy()
        for batch in range(32):
            alone.step(name, batch)
        assert toy.score() < 0.2 * alone.score()


@pytest.mark.parametrize("optimizer", ["SGD", "AdamW"])
def test_result_equals_the_selected_steps(optimizer: str) -> None:
    toy = Toy(optimizer=optimizer)
    choices = list(toy.joint().run(range(14)))
    plain = Toy(optimizer=optimizer)
    for batch in range(14):
        plain.step(choices[batch // 4].name, batch)
    assert torch.equal(toy.place.weight, plain.place.weight)
    assert toy.optimizer.state_dict()["param_groups"] == plain.optimizer.state_dict()["param_groups"]  # fmt: skip
    assert toy.schedule.state_dict() == plain.schedule.state_dict()
    plain.step("first", 0)
    toy.step("first", 0)
    assert torch.equal(toy.place.weight, plain.place.weight)


@pytest.mark.parametrize("optimizer", ["SGD", "AdamW"])
def test_each_candidate_starts_from_the_same_state(optimizer: str) -> None:
    """Including momentum and random state."""
    toy = Toy(noisy=True, optimizer=optimizer)
    (choice,) = toy.joint(every=5).run(range(5))
    for name, score in choice.scores.items():
        alone = Toy(noisy=True, optimizer=optimizer)
        for batch in range(5):
            alone.step(name, batch)
        assert alone.score() == score, name


def test_candidates_get_all_batches_in_order() -> None:
    toy = Toy()
    assert len(list(toy.joint(every=3).run(range(7)))) == 3
    ahead = ([0, 1, 2], [3, 4, 5], [6])
    expected = [(name, b) for part in ahead for name in ("first", "second") for b in part]
    assert toy.seen == expected


def test_is_deterministic() -> None:
    one, two = (Toy(noisy=True) for _ in range(2))
    results = []
    for toy in (one, two):
        torch.manual_seed(5)
        results.append([copy.deepcopy(c) for c in toy.joint().run(range(12))])
    assert results[0] == results[1]
    assert torch.equal(one.place.weight, two.place.weight)


def test_diverging_loss_is_not_selected_and_first_wins_ties() -> None:
    toy = Toy()
    scores = iter([float("nan"), 5.0, 7.0, 7.0])
    joint = MetaJoint(toy.parts, toy.step, lambda: next(scores), 2, ("first", "second"))
    first, second = joint.run(range(4))
    assert (first.name, first.scores["first"]) == ("second", float("inf"))
    assert second.name == "first"


def test_rejects_invalid_options() -> None:
    toy = Toy()
    with pytest.raises(ConfigError, match="two losses and at least one step"):
        toy.joint(every=0)
    with pytest.raises(ConfigError, match="two losses and at least one step"):
        MetaJoint(toy.parts, toy.step, toy.score, 5, ("first", "first"))


def test_candidate_weights() -> None:
    weights = candidate_weights(LossWeights(lmk=0.3, vdc=0.1))
    assert set(weights) == {"fwpdc", "vdc"}
    assert (weights["fwpdc"].fwpdc, weights["fwpdc"].vdc) == (1.0, 0.0)
    assert (weights["vdc"].fwpdc, weights["vdc"].vdc) == (0.0, 0.1)
    assert all(w.lmk == 0.3 for w in weights.values())
