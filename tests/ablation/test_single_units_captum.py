"""Units silenced one by one, against Captum's ``LayerFeatureAblation``."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from captum.attr import LayerFeatureAblation
from torch import Tensor, nn

from frivolous.ablation.label_agreement import ablate, unchanged_counts
from frivolous.ablation.single_units import single_effects
from frivolous.network import Network, trace

Case = tuple[Network, str, Tensor, Tensor]


def dense() -> tuple[nn.Sequential, Tensor]:
    layers = nn.Linear(6, 9), nn.ReLU(), nn.Linear(9, 7), nn.Tanh(), nn.Linear(7, 4)
    return nn.Sequential(*layers), torch.randn(60, 6)


def convolutional() -> tuple[nn.Sequential, Tensor]:
    net = nn.Sequential(
        *(nn.Conv2d(2, 5, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(5, 6, 2), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten()),
        nn.Linear(24, 4),
    )
    return net, torch.randn(60, 2, 8, 8)


# The network, a site of it, and the module whose output that is.
CASES = {
    "dense, first layer": (dense, "0", "1"),
    "dense, second layer": (dense, "2", "3"),
    "convolutional, first layer": (convolutional, "0", "1"),
    "convolutional, second layer": (convolutional, "3", "5"),
}


@pytest.fixture(params=CASES, scope="module")
def case(request: pytest.FixtureRequest) -> Case:
    """A network, a site, examples, and Captum's scores without each unit: (units, N, classes)."""
    make, site, module = CASES[request.param]
    with torch.random.fork_rng():
        torch.manual_seed(4)
        net, x = make()
    net.eval()
    with torch.no_grad():
        net[-1].bias -= net(x).mean(dim=0)  # so that labels differ, and change
        intact, value = net(x), net[: int(module) + 1](x)
    units = torch.arange(value.shape[1]).view(1, -1, *[1] * (value.dim() - 2))
    ablation = LayerFeatureAblation(net, net.get_submodule(module))
    lost = []
    for target in range(4):
        found = ablation.attribute(
            x, target=target, layer_mask=units.expand(1, *value.shape[1:]), perturbations_per_eval=3
        )
        assert isinstance(found, Tensor)
        by_position = found.reshape(*value.shape[:2], -1)
        assert (by_position == by_position[..., :1]).all()  # a channel is one feature
        lost.append(by_position[..., 0])
    return trace(net, x[:2]), site, x, intact - torch.stack(lost, dim=2).transpose(0, 1)


def test_the_labels_that_change_are_captums(case: Case) -> None:
    network, site, x, without_UNK = case
    changed_UN = without_UNK.argmax(dim=2) != network(x).argmax(dim=1)
    found = single_effects(network, x.split(25), site, total=60)
    assert found.changed_U.tolist() == changed_UN.sum(dim=1).tolist()
    assert 0 < changed_UN.sum() < changed_UN.numel() / 2
    plans = [{site: [unit]} for unit in range(len(without_UNK))]
    unchanged, examples = unchanged_counts(network, x.split(25), plans)
    assert examples == 60
    assert (60 - unchanged).tolist() == changed_UN.sum(dim=1).tolist()


def test_the_scores_are_captums(case: Case) -> None:
    network, site, x, without_UNK = case
    scores = torch.stack([ablate(network, x, {site: [unit]}) for unit in range(len(without_UNK))])
    torch.testing.assert_close(scores, without_UNK, rtol=1e-5, atol=1e-6)
    found = single_effects(network, x.split(25), site, total=60)
    intact = network(x).double().log_softmax(dim=1).expand_as(without_UNK)
    log = without_UNK.double().log_softmax(dim=2)
    divergence = F.kl_div(log, intact, reduction="none", log_target=True).sum(dim=2).mean(dim=1)
    torch.testing.assert_close(
        torch.from_numpy(found.divergence_U), divergence, rtol=1e-3, atol=1e-9
    )
