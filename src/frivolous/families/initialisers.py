"""Initialisers: a distribution of weights and its scale, drawn from a given generator alone.

The papers' "Gaussian" initialisers were truncated normals in the original code: the Glorot, He
and LeCun ones re-scaled to their nominal variance ("glorot-truncated" and so on), those of the
dense networks on synthetic data not (``fixed(sigma, "truncated-raw")``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, TypeAlias, TypeVar

import torch
from torch import Tensor, nn

from frivolous.errors import BadArgument, look_up

Model = TypeVar("Model", bound=nn.Module)

TRUNCATION = 2.0  # standard deviations
TRUNCATED_SD = 0.8796256610342398  # of a standard normal truncated there

DISTRIBUTIONS: Mapping[str, str] = {
    "normal": "normal",
    "truncated": "normal truncated at 2 sd, then re-scaled so that the sd is the nominal one",
    "truncated-raw": "normal truncated at 2 sd, as it is: the sd is 0.8796 of the nominal one",
    "uniform": "uniform between plus and minus sqrt(3) sd",
}

SCALES: Mapping[str, str] = {
    "glorot": "variance 2 / (fan_in + fan_out)",
    "he": "variance 2 / fan_in",
    "lecun": "variance 1 / fan_in",
}


@dataclass(frozen=True)
class Initialiser:
    """A distribution of weights: its shape, and its scale by name or as a standard deviation.

    ``distribution`` is a key of :data:`DISTRIBUTIONS`; ``scale`` is a key of :data:`SCALES` or
    the nominal standard deviation itself, the same whatever the layer.

    >>> Initialiser("uniform", "he").sigma(fan_in=8, fan_out=2)
    0.5
    """

    distribution: str
    scale: str | float

    def __post_init__(self) -> None:
        look_up(DISTRIBUTIONS, self.distribution, "distribution")
        if isinstance(self.scale, str):
            look_up(SCALES, self.scale, "scale")
        elif not (math.isfinite(self.scale) and self.scale >= 0):
            raise BadArgument(
                "`sigma` is a standard deviation, a finite number of at least 0; "
                f"got {self.scale}. For the papers' dense networks pass 0.01."
            )

    def sigma(self, fan_in: int, fan_out: int) -> float:
        """Return the nominal standard deviation for a layer of these fans."""
        if not isinstance(self.scale, str):
            return float(self.scale)
        if fan_in < 1 or fan_out < 1:
            raise BadArgument(
                f"`fan_in` and `fan_out` are at least 1; got {fan_in} and {fan_out}. "
                "Pass how many values one output reads and how many outputs read one value."
            )
        variance = {
            "glorot": 2 / (fan_in + fan_out),
            "he": 2 / fan_in,
            "lecun": 1 / fan_in,
        }
        return math.sqrt(variance[self.scale])


Spec: TypeAlias = "str | Initialiser"
Choice = TypeVar("Choice")

INITIALISERS: Mapping[str, Initialiser] = {
    "glorot-normal": Initialiser("normal", "glorot"),
    "glorot-truncated": Initialiser("truncated", "glorot"),
    "glorot-uniform": Initialiser("uniform", "glorot"),
    "he-normal": Initialiser("normal", "he"),
    "he-truncated": Initialiser("truncated", "he"),
    "he-uniform": Initialiser("uniform", "he"),
    "lecun-normal": Initialiser("normal", "lecun"),
    "lecun-truncated": Initialiser("truncated", "lecun"),
    "lecun-uniform": Initialiser("uniform", "lecun"),
}


def fixed(sigma: float, distribution: str = "truncated-raw") -> Initialiser:
    """Return the initialiser with one nominal standard deviation whatever the layer's fans.

    >>> fixed(0.01)
    Initialiser(distribution='truncated-raw', scale=0.01)
    """
    return Initialiser(distribution, sigma)


def draw(
    shape: Sequence[int],
    spec: Spec,
    generator: torch.Generator,
    fan_in: int,
    fan_out: int,
    *,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Return weights of a shape, drawn from the generator alone, on the generator's device.

    The draw for standard deviation s is exactly s times the draw for 1 from the same state of
    the generator. Truncated draws lie within 2 standard deviations of the underlying normal.

    >>> weights = draw((2, 3), "he-normal", torch.Generator().manual_seed(0), 3, 2)
    >>> weights.shape
    torch.Size([2, 3])
    """
    if not isinstance(generator, torch.Generator):
        raise BadArgument(
            f"`generator` is a torch.Generator; got {generator!r}. "
            "Pass torch.Generator().manual_seed(seed)."
        )
    initialiser = _resolve(spec)
    sigma = initialiser.sigma(fan_in, fan_out)
    return _standard(initialiser.distribution, shape, generator, dtype).mul_(sigma)


def _standard(
    distribution: str, shape: Sequence[int], generator: torch.Generator, dtype: torch.dtype
) -> Tensor:
    """Return the draw of nominal standard deviation 1."""
    options: dict[str, Any] = {
        "generator": generator,
        "dtype": dtype,
        "device": generator.device,
    }
    if distribution == "uniform":
        return torch.rand(tuple(shape), **options).mul_(2).sub_(1).mul_(math.sqrt(3))
    value = torch.randn(tuple(shape), **options)
    if distribution == "normal":
        return value
    # Drawing the outside again is several times faster than the inverse distribution function.
    flat = value.view(-1)
    outside = (flat.abs() > TRUNCATION).nonzero().squeeze(1)
    while len(outside):
        flat[outside] = torch.randn(len(outside), **options)
        outside = outside[flat[outside].abs() > TRUNCATION]
    return value.div_(TRUNCATED_SD) if distribution == "truncated" else value


def undrawn(build: Callable[[], Model]) -> Model:
    """Return the module that ``build`` makes, with weights and buffers left unset.

    No random number is drawn, not even from the global generator that modules otherwise use.

    >>> before = torch.random.get_rng_state()
    >>> layer = undrawn(lambda: nn.Linear(3, 2))
    >>> torch.equal(torch.random.get_rng_state(), before), layer.weight.shape
    (True, torch.Size([2, 3]))
    """
    with torch.device("meta"):
        model = build()
    return model.to_empty(device="cpu")


def fans(layer: nn.Module) -> tuple[int, int]:
    """Return how many values one output of a layer reads and how many outputs read one value.

    A convolution counts every position of its kernel, and only the channels of the same group.

    >>> fans(nn.Conv2d(3, 16, kernel_size=5))
    (75, 400)
    """
    shape = tuple(layer.get_parameter("weight").shape)
    kernel = math.prod(shape[2:])
    groups = getattr(layer, "groups", 1)
    if getattr(layer, "transposed", False):
        read, written = shape[0] // groups, shape[1]
    else:
        written, read = shape[0] // groups, shape[1]
    return read * kernel, written * kernel


def initialise(
    model: nn.Module,
    spec: Spec | Sequence[Spec] | Mapping[str, Spec],
    generator: torch.Generator,
    bias: float | Sequence[float] | Mapping[str, float] = 0.0,
) -> None:
    """Draw the weights of every dense and convolutional layer again, in place; set their biases.

    ``spec`` (and ``bias``) is one for all, a sequence with one for each layer in the order of
    ``named_modules``, or a mapping from patterns of layer names to one, of which the first that
    fits counts: ``{"fc": "glorot-uniform", "*": "lecun-truncated"}``. Other layers are left.

    Raises :class:`BadArgument` where a layer is left without one or a pattern without a layer.

    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> initialise(model, [fixed(1e-3), fixed(1e-2)], torch.Generator().manual_seed(0))
    >>> bool(model[0].weight.abs().max() <= 2e-3)
    True
    """
    layers = dict(_layers(model))
    if not layers:
        raise BadArgument(
            f"`model` has dense or convolutional layers; got {type(model).__name__} without any. "
            "Draw other weights with `draw`."
        )
    specs: list[Spec] = _for_each(layers, "spec", spec)
    biases: list[float] = _for_each(layers, "bias", bias)
    with torch.no_grad():
        for layer, its_spec, its_bias in zip(layers.values(), specs, biases, strict=True):
            weight = layer.get_parameter("weight")
            dtype = torch.float64 if weight.dtype == torch.float64 else torch.float32
            weight.copy_(draw(weight.shape, its_spec, generator, *fans(layer), dtype=dtype))
            if layer.bias is not None:
                layer.get_parameter("bias").fill_(its_bias)


def _layers(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    convolutions = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
    transposed = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
    for name, module in model.named_modules():
        if isinstance(module, (nn.Linear, *convolutions, *transposed)):
            yield name, module


def _resolve(spec: Spec) -> Initialiser:
    return spec if isinstance(spec, Initialiser) else look_up(INITIALISERS, spec, "initialiser")


def _for_each(layers: Mapping[str, nn.Module], name: str, given: Any) -> list[Any]:
    """Return the value given for each layer, in the layers' order."""
    if isinstance(given, Mapping):
        return _by_pattern(layers, name, given)
    if isinstance(given, (str, float, int, Initialiser)):
        return [given] * len(layers)
    if len(given) != len(layers):
        raise BadArgument(
            f"`{name}` has one entry for each layer; got {len(given)} for {len(layers)} layers "
            f"({', '.join(layers)}). Pass one for all, or a mapping from names."
        )
    return list(given)


def _by_pattern(
    layers: Mapping[str, nn.Module], name: str, given: Mapping[str, Choice]
) -> list[Choice]:
    idle = [p for p in given if not any(fnmatchcase(layer, p) for layer in layers)]
    if idle:
        raise BadArgument(
            f"`{name}` has a pattern that fits no layer: '{idle[0]}'. "
            f"The layers are {', '.join(layers)}."
        )
    chosen = []
    for layer in layers:
        fits = [p for p in given if fnmatchcase(layer, p)]
        if not fits:
            raise BadArgument(
                f"`{name}` gives nothing for layer '{layer}'; every layer needs an entry. "
                "Add the pattern '*' last, for all the others."
            )
        chosen.append(given[fits[0]])
    return chosen
