"""Every architecture answers the same questions: its sites, its parts, and what is left of it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import hugging_face
import pytest
import torch
from architecture_cases import HUGGING_FACE, OWN
from hugging_face_cases import EVERY as CASES
from hugging_face_cases import MORE
from readings import batch, model_of, traced
from torch import Tensor, nn
from torch.func import functional_call

import frivolous as fv
from frivolous.ablation.label_agreement import ablate
from frivolous.ablation.options import Ablation
from frivolous.network import Network, trace

missing = pytest.mark.skipif(not hugging_face.AVAILABLE, reason=hugging_face.WHY_NOT)
NAMES = [
    *(pytest.param(name, marks=pytest.mark.rounding) for name in OWN),
    *(pytest.param(name, marks=missing) for name in HUGGING_FACE | MORE),
]
architectures = pytest.mark.parametrize("name", NAMES)
# Tables that are looked up by place, not by what an input holds.
TABLES = re.compile("position|token_type|wpe|relative_attention")


@torch.no_grad()
def scores(name: str, examples: int) -> Tensor:
    """What the model itself gives, of weights without gradients, as a network has them.

    PyTorch folds the axes of a product otherwise where a weight may have a gradient.
    """
    inputs = CASES[name].inputs(examples)
    args, kwargs = ((), inputs) if isinstance(inputs, dict) else (inputs, {})
    model = model_of(name)
    state = {key: value.detach() for key, value in model.named_parameters()}
    given = functional_call(model, state, args, kwargs)
    if isinstance(given, tuple | dict) and not hasattr(given, "logits"):
        return next(iter(given.values())) if isinstance(given, dict) else given[0]
    found: Tensor = getattr(given, "logits", given)
    return found


@contextmanager
def changed(module: nn.Module, side: str, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Inside, a module gives or reads something else, as often as it is called for the batch of 3.

    A shared module may also be called for a table of one entry.
    """
    if side == "out":
        hook = module.register_forward_hook(
            lambda _module, _args, value: change(value) if len(value) % 3 == 0 else value
        )
    else:
        hook = module.register_forward_pre_hook(lambda _module, args: (change(args[0]),))
    try:
        yield
    finally:
        hook.remove()


def silencing(axis: int, width: int, unit: int | None) -> Callable[[Tensor], Tensor]:
    """A function that sets one unit, or all of them, to zero."""
    keep = torch.zeros(width)
    if unit is not None:
        keep = torch.ones(width)
        keep[unit] = 0

    def silence(value: Tensor) -> Tensor:
        return value * keep.view(-1, *(1 for _ in range(value.dim() - 2) if axis == 1))

    return silence


@architectures
def test_its_sites_are_what_its_layers_write(name: str) -> None:
    case, (network, _) = CASES[name], traced(name)
    layers = [site for site in network.sites if site.kind == "layer"]
    found = {site.name: (site.width, site.axis, site.positions) for site in layers}
    assert found == case.sites
    assert list(found) == list(case.sites)
    streams = [site.name for site in network.sites if site.kind == "residual"]
    assert sorted(streams) == sorted(case.streams)
    assert [site.depth for site in network.sites] == list(range(len(network.sites)))
    assert all(site.writers and site.readers for site in network.sites)


@architectures
def test_every_layer_has_a_site_or_the_reason_why_not(name: str) -> None:
    """But for those that read inputs alone: nothing is skipped in silence."""
    network, _ = traced(name)
    assert layers_of(name) <= accounted(network)


@pytest.mark.parametrize("name", ["mobile", "gated", "encoder", "mixer"])
def test_streams_are_sites_on_request_only(name: str) -> None:
    case, (asked, _) = CASES[name], traced(name)
    network = trace(model_of(name), batch(case, 2))
    assert {site.name for site in network.sites} == set(case.sites)
    assert layers_of(name) <= accounted(network)
    assert len(network.skipped) > len(asked.skipped)
    assert any("trace with `residual=True`" in reason for _, reason in network.skipped)
    for site in network.sites:
        (other,) = [one for one in asked.sites if one.name == site.name]
        assert (site.width, site.writers, site.readers) == (
            *(other.width, other.writers, other.readers),
        )


def layers_of(name: str) -> set[str]:
    """The weights that mix units, but for those of layers that read inputs alone."""
    first = {f"{layer}.weight" for layer in CASES[name].first}
    return {
        weight
        for weight, parameter in model_of(name).named_parameters()
        if weight.endswith("weight") and parameter.dim() > 1 and not TABLES.search(weight)
    } - first


def accounted(network: Network) -> set[str]:
    """Weights that read a site, or whose layer is skipped for a reason."""
    skipped = [layer.split(":")[0] for layer, reason in network.skipped if reason]
    readers = {weight for site in network.sites for weight in site.readers}
    return readers | set(skipped) | {f"{layer}.weight" for layer in skipped}


@architectures
def test_parts_are_the_whole_and_the_model_for_any_batch(name: str) -> None:
    case, (network, _) = CASES[name], traced(name)
    for examples in (1, 3, 5):
        inputs, whole = batch(case, examples), network(batch(case, examples))
        if case.exact:
            assert torch.equal(whole, scores(name, examples))
        else:  # PyTorch has one kernel for the whole of a transformer's layer
            torch.testing.assert_close(whole, scores(name, examples), rtol=1e-4, atol=1e-5)
        for site in network.sites:
            alive = network.until(site.name, inputs)
            assert tuple(alive.value.shape) == (examples, *site.shape)
            assert torch.equal(network.onward(site.name, alive), whole), site.name


@architectures
def test_copies_of_a_batch_are_independent_of_each_other(name: str) -> None:
    """Also where examples share an axis with heads."""
    case, (network, _) = CASES[name], traced(name)
    inputs = batch(case, 3)
    for site in network.sites:
        alive = network.until(site.name, inputs)
        assert alive.stackable == (site.name not in case.alone)
        if not alive.stackable:
            continue
        changed = torch.cat([alive.value, alive.value * 0.5])
        first, second = network.onward(site.name, alive.stacked(2, {site.name: changed})).chunk(2)
        halved = network.run(inputs, {site.name: lambda value: value * 0.5})
        torch.testing.assert_close(first, network(inputs), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(second, halved, rtol=1e-4, atol=1e-5)
        rows = torch.tensor([2, 0, 2, 1])
        taken = network.onward(site.name, alive.taken(rows, {site.name: alive.value[rows] * 0.5}))
        torch.testing.assert_close(taken, halved[rows], rtol=1e-4, atol=1e-5)


@architectures
def test_silencing_is_what_a_hook_by_hand_does(name: str) -> None:
    case, (network, _) = CASES[name], traced(name)
    for site_name, path, side in case.modules:
        site, module = network.site(site_name), model_of(name).get_submodule(path)
        for unit in (None, 0, site.width - 1):
            axis = 1 if site.axis == 1 else -1
            silence = silencing(axis, site.width, unit)
            found = network.run(batch(case, 3), {site_name: silence})
            with changed(module, side, silence):
                expected = scores(name, 3)
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
            if unit is None:
                assert not torch.allclose(found, scores(name, 3))


@architectures
def test_a_unit_is_all_of_its_positions(name: str) -> None:
    """Both grains silence the same numbers; one position alone is less than its unit."""
    case, (network, _) = CASES[name], traced(name)
    inputs, positions = batch(case, 3), Ablation(grain="position")
    for site in (network.sites[0], network.sites[-1]):
        places = torch.arange(math.prod(site.shape)).reshape(site.shape)
        axis = len(site.shape) - 1 if site.axis == -1 else site.axis - 1
        unit = site.width - 1
        own = places.select(axis, unit).flatten()
        whole = ablate(network, inputs, {site.name: [unit]})
        each = ablate(network, inputs, {site.name: own}, positions)
        torch.testing.assert_close(each, whole, rtol=1e-5, atol=1e-6)

        def one_place(value: Tensor, place: int = int(own[-1])) -> Tensor:
            value = value.clone(memory_format=torch.contiguous_format)
            value.flatten(1)[:, place] = 0
            return value

        alone = ablate(network, inputs, {site.name: own[-1:]}, positions)
        by_hand = network.run(inputs, {site.name: one_place})
        torch.testing.assert_close(alone, by_hand, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(n, marks=() if n in OWN else missing)
        for n, case in CASES.items()
        if case.attention
    ],
)
def test_units_stay_apart_through_attention(name: str) -> None:
    """A unit of attention's site is zero where the weights that write the value are."""
    case, (network, _) = CASES[name], traced(name)
    for site_name in case.attention:
        base, width = site_name.split(":")[0], network.site(site_name).width
        weight = base if base in network.state else f"{base}.weight"
        bias = weight.removesuffix("weight") + "bias"
        rows = len(network.state[bias])
        axis = 0 if network.state[weight].shape[0] == rows else 1
        for unit in (0, width - 1):
            row = torch.tensor([rows - width + unit])
            without = {**network.state}
            without[weight] = without[weight].index_fill(axis, row, 0)
            without[bias] = without[bias].index_fill(0, row, 0)
            expected = network.with_weights(without)(batch(case, 3))
            found = network.run(batch(case, 3), {site_name: silencing(-1, width, unit)})
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


@architectures
def test_nothing_is_left_on_the_model(name: str) -> None:
    assert traced(name)[1]


@architectures
def test_every_unit_has_weights_that_read_it(name: str) -> None:
    """Products of weights, a Gram matrix; zero where those weights are."""
    network, _ = traced(name)
    tied = {one: {*names} for names in network.ties for one in names}
    for site in network.sites:
        products = network.reader_products(site.name)
        assert products.shape == (site.width, site.width)
        assert (products.diagonal() > 0).all(), site.name
        torch.testing.assert_close(products, products.T)
        assert torch.linalg.eigvalsh(products).min() > -1e-9 * products.trace()
        read = set[str]().union(*(tied.get(weight, {weight}) for weight in site.readers))
        without = {
            # Of weight normalisation the length alone: nothing has no direction.
            key: torch.zeros_like(value) if key in read and "original1" not in key else value
            for key, value in network.state.items()
        }
        assert not network.with_weights(without).reader_products(site.name).any()


@pytest.mark.parametrize(
    "name",
    [
        "mobile",
        "gated",
        "encoder",
        *(pytest.param(n, marks=missing) for n in ("hf-vit", "hf-bert", "hf-gpt2", "hf-llama")),
        *(pytest.param(n, marks=missing) for n in MORE),
    ],
)
def test_it_is_measured_saved_and_loaded(name: str, tmp_path: Path) -> None:
    case, (network, _) = CASES[name], traced(name)
    sizes = (6, 6, 3)
    found = fv.measure(model_of(name), [batch(case, n) for n in sizes], residual=True)
    sites = {site.name: site.width for site in network.sites}
    assert found.units.groupby("site", sort=False).size().to_dict() == sites
    assert set(found.table.site) == {*sites, "all"}
    assert found.value("effective") <= sum(sites.values())
    found.save(tmp_path)
    assert fv.load_measurement(tmp_path).summary() == found.summary()
    site, path, side = case.modules[-1]
    units = found.units[found.units.site == site]
    intact = [labels_of(name, n) for n in sizes]
    for unit, share in zip(units.unit, units.changed, strict=True):
        axis = 1 if network.site(site).axis == 1 else -1
        silence = silencing(axis, sites[site], unit)
        with changed(model_of(name).get_submodule(path), side, silence):
            differ = [labels_of(name, n) != own for n, own in zip(sizes, intact, strict=True)]
        assert share == pytest.approx(float(torch.cat(differ).double().mean()))


def labels_of(name: str, examples: int) -> Tensor:
    """The model's labels, one per example or one per position that is no padding."""
    inputs, labels = CASES[name].inputs(examples), scores(name, examples).argmax(-1)
    if isinstance(inputs, dict) and labels.dim() == 2:
        return labels[inputs["attention_mask"] == 1]
    return labels
