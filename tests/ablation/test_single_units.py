"""Units silenced one by one, against full passes with a hook."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from frivolous.ablation.batched import run_single_units
from frivolous.ablation.label_agreement import ablate
from frivolous.ablation.masks import masks_for
from frivolous.ablation.options import Ablation
from frivolous.ablation.single_units import single_effects
from frivolous.errors import BadArgument, NotFinite
from frivolous.network import trace
from frivolous.rng import deal


@pytest.fixture(scope="module")
def model() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return nn.Sequential(
            nn.Conv2d(1, 5, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(45, 7), nn.ReLU(), nn.Linear(7, 4),
        ).eval()  # fmt: skip


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.randn(50, 1, 8, 8, generator=torch.Generator().manual_seed(2)) * 3


@torch.no_grad()
def by_hook(model: nn.Module, layer: nn.Module, units: int, x: Tensor) -> tuple[Tensor, Tensor]:
    """Labels changed and mean divergence for each unit, a whole pass for each."""
    intact = model(x)
    changed, divergence = [], []
    for unit in range(units):

        def silence(module: nn.Module, inputs: object, output: Tensor, unit: int = unit) -> Tensor:
            output = output.clone()
            output[:, unit] = 0
            return output

        handle = layer.register_forward_hook(silence)
        scores = model(x)
        handle.remove()
        changed.append((scores.argmax(1) != intact.argmax(1)).sum())
        log = (value.double().log_softmax(1) for value in (scores, intact))
        divergence.append(F.kl_div(*log, reduction="batchmean", log_target=True))
    return torch.stack(changed), torch.stack(divergence)


@pytest.mark.parametrize(("site", "layer", "units"), [("0", 1, 5), ("4", 5, 7)])
@pytest.mark.parametrize("stack_bytes", [0, 20_000, None])
def test_effects_are_those_of_full_passes(
    model: nn.Sequential, images: Tensor, site: str, layer: int, units: int, stack_bytes: int | None
) -> None:
    network = trace(model, images[:2])
    found = single_effects(network, images.split(16), site, total=50, stack_bytes=stack_bytes)
    changed, divergence = by_hook(model, model[layer], units, images)
    assert found.changed_U.tolist() == changed.tolist()
    assert changed.sum() > 0
    torch.testing.assert_close(torch.from_numpy(found.divergence_U), divergence, rtol=1e-4, atol=0)
    assert (found.site, found.examples) == (site, 50)


def test_a_part_of_the_examples_is_drawn_over_all_of_them(
    model: nn.Sequential, images: Tensor
) -> None:
    network = trace(model, images[:2])
    found = single_effects(network, images.split(16), "4", total=50, most=20, seed=3)
    chosen = images[torch.from_numpy(deal(0, 50, 3, 3) == 0)]
    changed, _ = by_hook(model, model[5], 7, chosen)
    assert found.examples == len(chosen) <= 20
    assert found.changed_U.tolist() == changed.tolist()
    again = single_effects(network, images.split(7), "4", total=50, most=20, seed=3)
    assert again.changed_U.tolist() == found.changed_U.tolist()


def test_a_unit_in_place_of_its_mean(model: nn.Sequential, images: Tensor) -> None:
    network = trace(model, images[:2])
    with torch.no_grad():
        mean = model[:6](images).mean(dim=0)
    found = single_effects(
        network, [images], "4", Ablation(replacement="mean", means={"4": mean}), total=50
    )
    zero = single_effects(network, [images], "4", total=50)
    assert found.divergence_U.sum() < zero.divergence_U.sum()


@pytest.mark.parametrize("site", ["0", "4"])
@pytest.mark.parametrize("kind", ["zero", "mean", "silenced as"])
def test_examples_on_which_a_unit_acts_no_more_than_a_silenced_one(
    model: nn.Sequential, images: Tensor, site: str, kind: str
) -> None:
    network = trace(model, images[:2])
    width = network.site(site).width
    # Some channels that are dark on most images, and numbers in their place that occur.
    rare = images.clone()
    rare[::3] = 0
    value = network.activities(rare, [site])[1][site].detach()
    common = value[0].flatten(1)[:, 0] if value.dim() > 2 else value[0]
    given = {
        "zero": Ablation(),
        "mean": Ablation(replacement="mean", means={site: common}),
        "silenced as": Ablation(silenced_as={site: common}),
    }[kind]
    found = single_effects(network, rare.split(16), site, given, total=50)
    intact = network(rare)
    without = torch.stack([ablate(network, rare, {site: [u]}, given) for u in range(width)])
    changed = (without.argmax(2) != intact.argmax(1)).sum(1)
    assert found.changed_U.tolist() == changed.tolist()
    log = (scores.double().log_softmax(-1) for scores in (without, intact.expand_as(without)))
    divergence = F.kl_div(*log, reduction="none", log_target=True).sum(2).mean(1)
    torch.testing.assert_close(
        torch.from_numpy(found.divergence_U), divergence, rtol=1e-4, atol=1e-12
    )


def test_only_pairs_that_differ_are_tried(model: nn.Sequential, images: Tensor) -> None:
    network = trace(model, images[:2])
    alive = network.until("4", images)
    masks = masks_for(network, "4", [[u] for u in range(7)])
    tried = list(run_single_units(network, alive, "4", masks, 5_000))
    pairs = torch.cat([torch.stack([units, rows], dim=1) for units, rows, _ in tried])
    assert len(tried) > 1
    assert pairs.tolist() == alive.value.T.nonzero().tolist()
    for units, rows, scores in tried:
        for unit, row, score in zip(units.tolist(), rows.tolist(), scores, strict=True):
            torch.testing.assert_close(score, ablate(network, images[[row]], {"4": [unit]})[0])


def test_what_cannot_be_tried(model: nn.Sequential, images: Tensor) -> None:
    network = trace(model, images[:2])
    with pytest.raises(
        BadArgument, match=r"`most` is a whole number of examples, 1 or more; got 0"
    ):
        single_effects(network, [images], "4", total=50, most=0)
    with pytest.raises(BadArgument, match=r"`batches` holds no example"):
        single_effects(network, [], "4", total=50)
    with pytest.raises(BadArgument, match=r"`ablation` has grain 'position'; units are silenced"):
        single_effects(network, [images], "4", Ablation(grain="position"), total=50)
    spoilt = Divided()
    x = torch.rand(4, 3) + 1
    with pytest.raises(NotFinite, match=r"silenced, though the intact network's are not"):
        single_effects(trace(spoilt, x), [x], "first", total=4)


class Divided(nn.Module):
    """Divides by the sum of one unit, which must not be silent."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(3, 1), nn.Linear(1, 2)
        self.first.weight.data.fill_(1.0)
        self.first.bias.data.zero_()

    def forward(self, x: Tensor) -> Tensor:
        value = F.relu(self.first(x))
        return self.last(value) / value.sum(dim=1, keepdim=True)


def test_a_batch_on_which_no_unit_acts_changes_nothing(
    model: nn.Sequential, images: Tensor
) -> None:
    blank = copy.deepcopy(model)
    with torch.no_grad():
        for layer in blank:
            if isinstance(layer, nn.Conv2d):
                layer.weight.zero_()
                layer.bias.fill_(-1.0)
    network = trace(blank, images[:2])
    site = network.sites[0].name
    found = single_effects(network, [images[:1], images[1:4]], site, total=4)
    assert found.changed_U.tolist() == [0.0] * network.site(site).width
    assert found.divergence_U.tolist() == [0.0] * network.site(site).width
    assert found.examples == 4
