"""Train two small networks on handwritten digits and count the units that they do not need.

    python examples/digits.py --out digits

trains a dense and a convolutional network for a few seconds, prints the counts of frivolous units
site by site and writes, for each network, its weights, the tables and a figure. The command line
measures the same networks from the saved weights:

    frivolous measure examples/digits.py:conv --weights digits/digits-conv.safetensors \
        --data examples/digits.py:test_data
"""

from __future__ import annotations

import argparse
from collections import OrderedDict
from pathlib import Path

import torch
from safetensors.torch import save_model
from torch import Tensor, nn

import frivolous as fv
from frivolous.data import Examples, digits
from frivolous.families import initialise
from frivolous.figures import save
from frivolous.rng import generator


def dense() -> nn.Module:
    """Return an untrained dense network: 64 pixels, hidden layers of 128 and 64 units."""
    return nn.Sequential(
        OrderedDict(
            flatten=nn.Flatten(),
            fc1=nn.Linear(64, 128),
            relu1=nn.ReLU(),
            fc2=nn.Linear(128, 64),
            relu2=nn.ReLU(),
            scores=nn.Linear(64, 10),
        )
    )


def conv() -> nn.Module:
    """Return an untrained convolutional network, with batch normalisation, pooling and dropout."""
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(1, 16, kernel_size=3, padding=1, bias=False),
            norm1=nn.BatchNorm2d(16),
            relu1=nn.ReLU(),
            conv2=nn.Conv2d(16, 32, kernel_size=3, padding=1, bias=False),
            norm2=nn.BatchNorm2d(32),
            relu2=nn.ReLU(),
            pool=nn.MaxPool2d(2),
            dropout=nn.Dropout(0.25),
            flatten=nn.Flatten(),
            fc=nn.Linear(32 * 4 * 4, 64),
            relu3=nn.ReLU(),
            scores=nn.Linear(64, 10),
        )
    )


def test_data() -> tuple[Tensor, Tensor]:
    """Return 500 images of 8x8 pixels that no network was trained on, and their labels."""
    test = digits(seed=0).test
    return test.inputs, test.labels


def train(
    model: nn.Module,
    data: Examples,
    *,
    epochs: int,
    seed: int,
    rate: float = 2e-3,
    batch_size: int = 50,
) -> None:
    """Train in place with Adam on shuffled batches; the same seed gives the same weights."""
    initialise(model, "he-normal", generator("weights", seed))
    order = generator("order", seed)
    optimiser = torch.optim.Adam(model.parameters(), lr=rate)
    model.train()
    # Dropout draws from PyTorch's global generator, which is put back afterwards.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for _ in range(epochs):
            for chosen in torch.randperm(len(data), generator=order).split(batch_size):
                loss = nn.functional.cross_entropy(model(data.inputs[chosen]), data.labels[chosen])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()


def main() -> None:
    """Train, save, measure and draw both networks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("digits"), metavar="DIR")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for name, model in {"dense": dense(), "conv": conv()}.items():
        train(model, digits(seed=0).train, epochs=options.epochs, seed=options.seed)
        save_model(model, str(options.out / f"digits-{name}.safetensors"))
        found = fv.measure(model, test_data(), seed=options.seed)
        print(f"digits-{name}: {found.summary()}\n")
        found.save(options.out / name)
        print(save(found.plot(), options.out / f"digits-{name}.png"), end="\n\n")


if __name__ == "__main__":
    main()
