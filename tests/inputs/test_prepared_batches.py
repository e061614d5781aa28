"""Images stored as bytes and prepared batch by batch, against the same prepared all at once."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from frivolous.ablation.intact_model import accuracy_of
from frivolous.data import Examples
from frivolous.errors import BadArgument
from frivolous.inputs.batches import as_batches, prepared
from frivolous.measurement.measure import measure_network
from frivolous.network import trace

RANDOM = torch.Generator().manual_seed(0)
IMAGES = Examples(
    torch.randint(256, (23, 1, 4, 4), dtype=torch.uint8, generator=RANDOM),
    torch.randint(3, (23,), generator=RANDOM),
)


def shrink(images: Tensor) -> Tensor:
    return images[:, :, 1:3].float() / 255 - 0.5


def test_batches_are_prepared_when_read_and_can_be_read_again() -> None:
    calls: list[int] = []

    def counted(images: Tensor) -> Tensor:
        calls.append(len(images))
        return shrink(images)

    batches = prepared(IMAGES, counted, batch_size=10)
    assert (batches.examples, batches.has_labels, calls) == (23, True, [])
    for _ in range(2):
        found = list(batches.labelled())
        assert torch.equal(torch.cat([x for x, _ in found]), shrink(IMAGES.inputs))
        assert torch.equal(torch.cat([y for _, y in found]), IMAGES.labels)
    assert calls == [10, 10, 3] * 2
    assert torch.equal(batches.first(2), shrink(IMAGES.inputs[:2]))


def test_batches_that_lose_examples_are_refused() -> None:
    lost = iter([0, 0, 0, 1])
    batches = prepared(IMAGES, lambda images: shrink(images)[next(lost, 0) :], batch_size=10)
    list(batches)
    words = "`data` gave 23 examples when first read and 22 later; .* Pass a list of its batches."
    with pytest.raises(BadArgument, match=words):
        list(batches)


def test_a_limit_takes_the_first_examples() -> None:
    assert [len(x) for x in prepared(IMAGES, shrink, batch_size=10, limit=14)] == [10, 4]
    assert prepared(IMAGES, shrink, limit=100).examples == 23


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "`batch_size` is a whole number of at least 1; got 0"),
        ({"limit": 0}, "`limit` is a whole number of at least 1; got 0"),
    ],
)
def test_bad_arguments_are_named(options: dict[str, int], message: str) -> None:
    with pytest.raises(BadArgument, match=message):
        prepared(IMAGES, shrink, **options)


def test_accuracy_and_measures_are_those_of_the_prepared_whole() -> None:
    model = nn.Sequential(
        *(nn.Conv2d(1, 5, 2), nn.BatchNorm2d(5), nn.ReLU(), nn.Flatten(), nn.Linear(15, 3))
    ).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=RANDOM))
        right = int((model(shrink(IMAGES.inputs)).argmax(1) == IMAGES.labels).sum())
    network = trace(model, shrink(IMAGES.inputs[:2]))
    batches = prepared(IMAGES, shrink, batch_size=7)
    assert accuracy_of(network, batches)["accuracy"] == right / 23
    found = measure_network(network, batches, groups=1)
    whole = measure_network(network, as_batches((shrink(IMAGES.inputs), IMAGES.labels)), groups=1)
    assert found.facts == whole.facts
    assert found.curves.equals(whole.curves)
    assert found.table.value.tolist() == pytest.approx(whole.table.value.tolist())
