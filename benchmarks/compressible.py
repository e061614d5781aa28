"""Networks trained here, on which methods of compression are compared.

Each is a record: the network in evaluation mode, ``search`` examples that methods may look at, and
``held_out`` examples that they may not. Both are unseen in training.

    python benchmarks/compressible.py --data-dir data   # train, or read what was trained before
    python benchmarks/compressible.py --nets digits-dense digits-conv transformer

digits-dense, digits-conv and transformer (a vision transformer of ``transformers``) learn
scikit-learn's handwritten digits; alexnet and resnet56 learn some images of CIFAR-10 for a few
epochs, far from their best. CIFAR-10 is read from ``--data-dir`` or the environment's
FRIVOLOUS_DATA; without it these two are left out. What was trained is kept in ``--cache``, in a
file named after all that decides the weights but PyTorch's version and its number of threads.
"""

from __future__ import annotations

import argparse
import json
import os
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cache
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

import torch
from safetensors.torch import load_model, save_model
from torch import Tensor, nn

from frivolous.data import PREPARATIONS, Examples, Splits, cifar10, digits
from frivolous.families import FAMILIES, MLP, initialise
from frivolous.rng import generator, seed_of
from frivolous.training.single.recipe import LoopRecipe
from frivolous.training.single.train import train_network

Data = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Trained:
    """A trained network, the examples that methods may use, and those by which they are judged."""

    name: str
    model: nn.Module
    search: Data
    held_out: Data
    example: Tensor


@dataclass(frozen=True)
class Plan:
    """How a network is made, what it is trained on and how; ``facts`` tell apart what is kept."""

    build: Callable[[], nn.Module]
    splits: Callable[[], Splits]
    recipe: LoopRecipe
    facts: dict[str, object]


class Scores(nn.Module):
    """A model of ``transformers`` whose scores alone come out, as training wants it."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the scores (N, classes)."""
        return scores(self.inner, inputs)


def scores(model: nn.Module, inputs: Tensor) -> Tensor:
    """The scores (N, classes) that a network gives, whatever it wraps them in."""
    found = model(inputs)
    return found if isinstance(found, Tensor) else found.logits


@torch.inference_mode()
def labels(model: nn.Module, inputs: Tensor, batch: int = 250) -> Tensor:
    """The labels (N,) that a network predicts in evaluation mode."""
    assert not any(module.training for module in model.modules())
    return torch.cat([scores(model, part).argmax(1) for part in inputs.split(batch)])


def dense(seed: int) -> nn.Module:
    """64 pixels, 256 and 256 ReLU units, ten scores."""
    model = MLP(64, (256, 256), 10)
    initialise(model, "he-normal", generator("compressible dense", seed))
    return model


def convolutional(seed: int) -> nn.Module:
    """Two convolutions with batch normalisation and pooling, a dense layer, ten scores."""
    model = nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(1, 32, 3, padding=1, bias=False),
            norm1=nn.BatchNorm2d(32),
            relu1=nn.ReLU(),
            pool1=nn.MaxPool2d(2),
            conv2=nn.Conv2d(32, 64, 3, padding=1, bias=False),
            norm2=nn.BatchNorm2d(64),
            relu2=nn.ReLU(),
            pool2=nn.MaxPool2d(2),
            flatten=nn.Flatten(),
            fc=nn.Linear(64 * 4, 128),
            relu3=nn.ReLU(),
            scores=nn.Linear(128, 10),
        )
    )
    initialise(model, "he-normal", generator("compressible conv", seed))
    return model


def transformer(seed: int) -> nn.Module:
    """A vision transformer: 16 patches, four layers of 64 features, four heads, 256 hidden units.

    Attention is written out (``eager``), so that its multiply-adds are counted.
    """
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    from transformers import ViTConfig, ViTForImageClassification

    config = ViTConfig(
        image_size=8,
        patch_size=2,
        num_channels=1,
        hidden_size=64,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=256,
        num_labels=10,
        attn_implementation="eager",
    )
    with torch.random.fork_rng(devices=[]):  # its weights are drawn from the global generator
        torch.manual_seed(seed_of("compressible transformer", seed))
        return ViTForImageClassification(config)


def family(name: str, factor: float, seed: int, **options: float) -> nn.Module:
    """A network of the papers, started as they start it."""
    model = FAMILIES[name].build(factor, **options)
    FAMILIES[name].start(model, "default", generator("compressible", name, seed))
    return model


@cache
def all_digits() -> Splits:
    """697 digits to train on, 500 to search with and 600 held out."""
    return digits(seed=0, validation=500, test=600)


@cache
def flat_digits() -> Splits:
    """The same digits as 64 numbers each."""
    return digits(seed=0, validation=500, test=600, flat=True)


@cache
def images(folder: Path | None, train: int, search: int, held_out: int) -> Splits:
    """Some of CIFAR-10's images as bytes; those held out are of the official test images."""
    found = cifar10(folder=folder, train=45_000, validation=5_000)
    return Splits(
        found.train.first(train),
        found.validation.first(search),
        found.test.first(held_out),
        classes=10,
    )


def plan(name: str, options: argparse.Namespace) -> Plan:
    """How one of the networks is trained."""
    seed = options.seed
    if name in DIGITS:
        build, splits, epochs = DIGITS[name]
        recipe = LoopRecipe(
            epochs=epochs,
            optimiser="adam",
            learning_rate=1e-3,
            batch_size=32,
            shuffle=True,
            select="last",
        )
        return Plan(lambda: build(seed), splits, recipe, {"seed": seed})
    factor, epochs = getattr(options, f"{name}_factor"), getattr(options, f"{name}_epochs")
    recipes = {
        "alexnet": LoopRecipe(
            epochs=epochs,
            learning_rate=0.01,  # Adam leaves most units of fc3 dead, which any method may take
            decay=0.8,
            batch_size=64,
            shuffle=True,
            preparation="alexnet",
            select="last",
        ),
        "resnet56": LoopRecipe(
            epochs=epochs,
            learning_rate=0.05,
            decay=0.7,
            batch_size=64,
            shuffle=True,
            preparation="resnet56-augmented",
            weight_decay=2e-4,
            select="last",
        ),
    }
    more = {"norm_decay": 0.9} if name == "resnet56" else {}
    sizes = options.images, options.search, options.held_out
    return Plan(
        lambda: family(name, factor, seed, **more),
        lambda: images(options.data_dir, *sizes),
        recipes[name],
        {"seed": seed, "factor": factor, "images": options.images},
    )


#: Network -> how it is made, what it learns, for how many epochs.
DIGITS: dict[str, tuple[Callable[[int], nn.Module], Callable[[], Splits], int]] = {
    "digits-dense": (dense, flat_digits, 40),
    "digits-conv": (convolutional, all_digits, 40),
    "transformer": (transformer, all_digits, 80),
}
CIFAR = ("alexnet", "resnet56")
NAMES = ("digits-dense", "digits-conv", "alexnet", "resnet56", "transformer")


def trained(name: str, options: argparse.Namespace) -> Trained:
    """One of the networks, trained now or before."""
    how = plan(name, options)
    model, splits = how.build(), how.splits()
    facts = json.dumps({**how.facts, **asdict(how.recipe)}, sort_keys=True)
    factor = f"-{how.facts['factor']}" if "factor" in how.facts else ""
    path = options.cache / f"{name}{factor}-{sha256(facts.encode()).hexdigest()[:8]}.safetensors"
    if path.exists():
        load_model(model, path)
    else:
        options.cache.mkdir(parents=True, exist_ok=True)
        whole = Scores(model) if name == "transformer" else model
        # The state that counts is the last one: what is watched on the way decides nothing.
        watched = Splits(splits.train, splits.validation.first(250), splits.test, splits.classes)
        train_network(whole, how.recipe, watched, seed=options.seed)
        save_model(model, str(path), metadata={"facts": facts})
    test = PREPARATIONS[how.recipe.preparation].test

    def prepared(examples: Examples) -> Data:
        return test(examples.inputs), examples.labels

    search, held_out = prepared(splits.validation), prepared(splits.test)
    return Trained(name, model.eval().requires_grad_(True), search, held_out, search[0][:1])


def networks(options: argparse.Namespace) -> Iterator[Trained]:
    """The networks asked for, one after the other; a line says which are left out, and why."""
    names = list(options.nets)
    folder = options.data_dir or os.environ.get("FRIVOLOUS_DATA")
    if folder is None and (without := [name for name in names if name in CIFAR]):
        print(f"{', '.join(without)} left out: no CIFAR-10; pass --data-dir or FRIVOLOUS_DATA")
        names = [name for name in names if name not in without]
    if "transformer" in names and not find_spec("transformers"):
        print("transformer left out: pip install '.[hf]'")
        names.remove("transformer")
    for name in names:
        yield trained(name, options)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what decides which networks there are and how they are trained."""
    parser.add_argument("--nets", nargs="+", choices=NAMES, default=list(NAMES))
    parser.add_argument("--cache", type=Path, default=Path("benchmarks-cache"), metavar="DIR")
    parser.add_argument("--data-dir", type=Path, default=None, metavar="DIR", help="of CIFAR-10")
    parser.add_argument("--images", type=int, default=10_000, help="of CIFAR-10 to train on")
    parser.add_argument("--search", type=int, default=2_000, help="images of CIFAR-10")
    parser.add_argument("--held-out", type=int, default=2_000, help="images of CIFAR-10")
    parser.add_argument("--alexnet-factor", type=float, default=0.25, help="up to 1")
    parser.add_argument("--alexnet-epochs", type=int, default=6)
    parser.add_argument("--resnet56-factor", type=float, default=0.5)
    parser.add_argument("--resnet56-epochs", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1, help="of torch")


def main() -> None:
    """Train what is not trained yet, and print a line per network."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(
        f"{'network':14} {'parameters':>10} {'search':>7} {'right':>6} {'held out':>8} {'right':>6}"
    )
    for net in networks(options):
        right = [
            f"{len(y):>{width}} {(labels(net.model, x) == y).double().mean():6.1%}"
            for (x, y), width in ((net.search, 7), (net.held_out, 8))
        ]
        size = sum(p.numel() for p in net.model.parameters())
        print(f"{net.name:14} {size:>10,} {' '.join(right)}", flush=True)


if __name__ == "__main__":
    main()
