"""Images that are decoded on demand train a network like images in memory."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from frivolous.data.images.encoded import EncodedExamples
from frivolous.data.splits import Examples, Splits
from frivolous.families.initialisers import initialise
from frivolous.rng import generator
from frivolous.training import LoopRecipe, Result, train_network
from frivolous.training.single.loader import BatchLoader
from frivolous.training.single.trainer import Trainer

CPU = torch.device("cpu")


class Files:
    """Forty small images as PNG files in memory."""

    def __init__(self) -> None:
        drawn = np.random.default_rng(0)
        self.files = [self._file(drawn.integers(0, 256, (12, 12, 3))) for _ in range(40)]

    @staticmethod
    def _file(pixels: np.ndarray) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(pixels.astype(np.uint8)).save(buffer, "png")
        return buffer.getvalue()

    def read(self, number: int) -> bytes:
        return self.files[number]

    def name(self, number: int) -> str:
        return f"file {number}"


@pytest.fixture(scope="module")
def stored() -> EncodedExamples:
    return EncodedExamples(Files(), torch.arange(40), torch.arange(40) % 4, size=8, workers=2)


def decoded(stored: EncodedExamples) -> Examples:
    return Examples(stored.inputs[:], stored.labels)


def split(examples: EncodedExamples | Examples) -> Splits:
    return Splits(examples, examples, examples, classes=4)  # type: ignore[arg-type]


def train(splits: Splits, recipe: LoopRecipe, path: Path | None = None) -> Result:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 4))
    initialise(model, "glorot-truncated", generator("stored test"))
    return train_network(model, recipe, splits, seed=1, checkpoint=path, every=0.0)


@pytest.mark.parametrize("shuffle", [False, True])
def test_without_augmentation_they_are_the_images_in_memory(
    shuffle: bool, stored: EncodedExamples
) -> None:
    recipe = LoopRecipe(
        epochs=2, batch_size=16, preparation="inception", shuffle=shuffle, select="train",
        updates_per_epoch=4,
    )  # fmt: skip
    found, expected = train(split(stored), recipe), train(split(decoded(stored)), recipe)
    assert found.history == expected.history
    assert all(torch.equal(found.state[key], expected.state[key]) for key in expected.state)


def test_each_pass_has_crops_of_its_own_that_only_the_update_decides(
    stored: EncodedExamples,
) -> None:
    recipe = LoopRecipe(batch_size=16, preparation="inception-augmented")
    feed = BatchLoader(stored, recipe, 3, CPU)
    whole = list(feed.batches(0, 6))
    # Update 2 reads the last 8 images of the first pass and the first 8 of the second.
    inputs = torch.cat(
        [
            stored.take(torch.arange(32, 40), augment=True, seed=3, epoch=0),
            stored.take(torch.arange(8), augment=True, seed=3, epoch=1),
        ]
    )
    expected = feed.preparation.train(inputs, generator(3, "augment", 2))
    assert torch.equal(whole[2][0], expected)
    assert torch.equal(whole[2][1], torch.cat([stored.labels[32:], stored.labels[:8]]))
    for (late, _), (same, _) in zip(whole[4:], feed.batches(4, 6), strict=True):
        assert torch.equal(late, same)
    assert not torch.equal(whole[0][0], BatchLoader(stored, recipe, 4, CPU)._prepared(inputs, 0))


def test_killed_they_go_on_to_the_bit(
    stored: EncodedExamples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = LoopRecipe(
        epochs=3, batch_size=16, preparation="inception-augmented", updates_per_epoch=3
    )
    straight, step = train(split(stored), recipe), Trainer._step

    def killed(run: Trainer, *batch: torch.Tensor) -> None:
        if run.update == 5:
            raise KeyboardInterrupt
        step(run, *batch)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_step", killed)
        with pytest.raises(KeyboardInterrupt):
            train(split(stored), recipe, tmp_path / "checkpoint")
    resumed = train(split(stored), recipe, tmp_path / "checkpoint")
    assert all(torch.equal(straight.state[key], resumed.state[key]) for key in straight.state)
