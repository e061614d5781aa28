"""The papers' Inception-v3, with all its modules varied in width or only one of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from frivolous.errors import BadArgument, look_up
from frivolous.families.family import Family, Start, schemes, starting
from frivolous.families.inception_blocks import MODULES, Filters, Layer, Mixed
from frivolous.families.initialisers import Spec, fixed
from frivolous.families.sizes import image_of, positive, scaled, share, whole_number

IMAGE = (3, 299, 299)
SMALLEST = 75  # pixels a side leave one position after the last module
BATCH_NORM_DECAY = 0.9997
STEM: Mapping[str, Filters] = {
    "conv0": Filters(32, (3, 3), 2),
    "conv1": Filters(32, (3, 3)),
    "conv2": Filters(64, (3, 3)),
    "conv3": Filters(80, (1, 1)),
    "conv4": Filters(192, (3, 3)),
}
KEEPING = "conv2"  # the one convolution of the stem that reads beyond the border
POOLING = ("conv2", "conv4")
HEAD_AFTER = "17x17x768e"
HEAD = (Filters(128, (1, 1)), Filters(768, (5, 5)))

Units = Callable[[str, Filters], int]


class Inception(nn.Module):
    """Five convolutions, eleven modules of branches, the mean over positions, then scores.

    ``units(place, filters)`` says how many filters each convolution has: the place is its own name
    in the stem, the name of its module, or "auxiliary". With ``auxiliary`` a second classifier
    reads the module "17x17x768e"; only :meth:`both` runs it, for training.

    Shapes: (N, channels, H, W) to (N, classes), H and W at least 75.
    """

    def __init__(
        self,
        units: Units,
        classes: int,
        image: Sequence[int],
        *,
        dropout: float,
        auxiliary: bool,
        decay: float,
    ) -> None:
        super().__init__()
        read, height, width = image_of(image, SMALLEST)
        self.dropout = share("dropout", dropout)
        self.stem = nn.ModuleDict()
        for name, filters in STEM.items():
            shape = units(name, filters), filters.kernel, filters.stride
            self.stem[name] = Layer(read, *shape, keep_size=name == KEEPING, decay=decay)
            read = units(name, filters)
        self.mixed = nn.ModuleDict()
        self.auxiliary: nn.Module | None = None
        for name, branches in MODULES.items():
            module = Mixed(read, branches, partial(units, name), decay)
            self.mixed[name] = module
            read = module.written
            if auxiliary and name == HEAD_AFTER:
                grid = _grid(height), _grid(width)
                self.auxiliary = _Head(read, units, grid, whole_number("classes", classes), decay)
        self.dense = nn.Linear(read, whole_number("classes", classes))

    def forward(self, images: Tensor) -> Tensor:
        """Return the scores (N, classes) of prepared images (N, channels, H, W)."""
        return self._scores(self._after_head(self._to_head(images)))

    def both(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the scores and those of the auxiliary classifier, each (N, classes)."""
        if self.auxiliary is None:
            raise BadArgument(
                "`auxiliary` is False for this network, which has no second classifier. "
                "Make it with auxiliary=True."
            )
        maps = self._to_head(images)
        return self._scores(self._after_head(maps)), self.auxiliary(maps)

    def _to_head(self, maps: Tensor) -> Tensor:
        for name, layer in self.stem.items():
            maps = F.relu(layer(maps))
            if name in POOLING:
                maps = F.max_pool2d(maps, 3, 2)
        for name, module in self.mixed.items():
            maps = module(maps)
            if name == HEAD_AFTER:
                break
        return maps

    def _after_head(self, maps: Tensor) -> Tensor:
        names = list(self.mixed)
        for name in names[names.index(HEAD_AFTER) + 1 :]:
            maps = self.mixed[name](maps)
        return maps

    def _scores(self, maps: Tensor) -> Tensor:
        scores: Tensor = self.dense(F.dropout(maps.mean((2, 3)), self.dropout, self.training))
        return scores


class _Head(nn.Module):
    """The auxiliary classifier: pooling and two convolutions down to one position, then scores."""

    def __init__(
        self, read: int, units: Units, grid: tuple[int, int], classes: int, decay: float
    ) -> None:
        super().__init__()
        if min(grid) < 5:
            raise BadArgument(
                "`auxiliary` needs images of at least 107 pixels a side. "
                "Pass larger ones, or auxiliary=False."
            )
        first, second = (units("auxiliary", filters) for filters in HEAD)
        left = (grid[0] - 5) // 3 + 1, (grid[1] - 5) // 3 + 1
        self.first = Layer(read, first, (1, 1), keep_size=True, decay=decay)
        self.second = Layer(first, second, left, keep_size=False, decay=decay)
        self.dense = nn.Linear(second, classes)

    def forward(self, maps: Tensor) -> Tensor:
        maps = F.relu(self.first(F.avg_pool2d(maps, 5, 3)))
        scores: Tensor = self.dense(F.relu(self.second(maps)).flatten(1))
        return scores


def inception(
    size_factor: float,
    *,
    classes: int = 1001,
    image: Sequence[int] = IMAGE,
    base: float = 1.0,
    varied: str = "all",
    dropout: float = 0.2,
    auxiliary: bool = False,
    norm_decay: float = BATCH_NORM_DECAY,
) -> Inception:
    """Return the papers' Inception-v3, each layer ``int(n * size_factor)`` units wide.

    ``varied`` names the one module that the size factor widens, "35x35x288b" in the papers'
    "Inception-v3-layer"; "all" widens every layer. ``base`` multiplies all widths besides, for
    small runs. ``norm_decay`` is what batch normalisation keeps of its running statistics at a
    step: the papers' 0.9997 needs tens of thousands of steps; pass 0.9 for short training.

    ``auxiliary`` adds the second classifier that training may use (:meth:`Inception.both`).

    The network is the off-the-shelf one of Szegedy et al. (2016), as the papers say. The
    published numbers of parameters (figure E1; all eight are met) tell the rest: batch
    normalisation learns no scale; there are 1001 classes; the pooled branch of module
    "17x17x768d" keeps 192 filters at every size factor; the second classifier is counted, and
    scaled. Nothing that is measured passes through that one, so that it is built on demand.
    Convolutions start from normals of standard deviation 0.1 truncated at 2 of them (the papers'
    appendix), the scores' weights at 0.01 (off-the-shelf code). Dropout of 0.2 before the scores
    is of that code too; the papers' table of regularisers does not list it.

    Raises :class:`~frivolous.errors.BadArgument` for an option out of its range, images below 75
    pixels a side and where a layer would be left without a unit.

    >>> from frivolous.families.mlp import parameter_count
    >>> with torch.device("meta"):
    ...     parameter_count(inception(1 / 4, auxiliary=True))
    2286026
    """
    look_up({"all": None, **MODULES}, varied, "module")
    positive("size_factor", size_factor)
    decay = share("norm_decay", norm_decay)

    def units(place: str, filters: Filters) -> int:
        (at_one,) = scaled((filters.number,), base, "base")
        if filters.fixed or varied not in ("all", place):
            return at_one
        return scaled((at_one,), size_factor)[0]

    return Inception(units, classes, image, dropout=dropout, auxiliary=auxiliary, decay=decay)


def _grid(pixels: int) -> int:
    """Return the positions a side of the module that the auxiliary classifier reads."""
    for window, stride in ((3, 2), (3, 1), (3, 2), (3, 1), (3, 2), (3, 2)):
        pixels = (pixels - window) // stride + 1
    return pixels


def _as_published(model: nn.Module, generator: torch.Generator) -> None:
    """Initialise as the papers and the off-the-shelf code do, with one classifier or two."""
    first = {"auxiliary.second.conv": fixed(0.01), "auxiliary.dense": fixed(0.001)}
    there = dict(model.named_modules())
    spec: dict[str, Spec] = {name: start for name, start in first.items() if name in there}
    starting({**spec, "dense": fixed(0.01), "*": fixed(0.1)})(model, generator)


def _layers() -> dict[str, str]:
    """Number the layers as the original code does: the stem, then the modules."""
    sites = [
        *(f"stem.{name}.conv" for name in STEM),
        *(f"mixed.{name}.branches.0.last.0.conv" for name in MODULES),
    ]
    return {str(index): site for index, site in enumerate(sites)}


_SCHEMES: dict[str, Start] = {**schemes(fixed(0.1)), "default": _as_published}

INCEPTION = Family("inception", inception, _layers(), IMAGE, _SCHEMES)
