"""One network with its data, its plain forward, and what came of what was asked."""

from __future__ import annotations

import contextlib
import importlib
import random
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.utils._pytree import tree_map

from frivolous.compression import running
from frivolous.errors import FrivolousError
from fuzzing.given import batch_of, given, in_double, scores_of
from fuzzing.networks import drawn
from fuzzing.source import built, inside, wrapped
from fuzzing.untouched import Picture


@dataclass
class Outcome:
    """What came of one network.

    ``outcome`` is right, left (some layers, with reasons), refused (with one clear line, in
    ``refusals``), wrong or raw (an error that is not the library's own). ``unchecked`` names sites
    whose value the oracle did not find among those of the plain forward; ``removed`` says whether
    units removed were compared with units masked.
    """

    seed: int
    outcome: str = "right"
    blocks: list[str] = field(default_factory=list)
    form: str = ""
    method: str = ""
    faults: list[dict[str, str]] = field(default_factory=list)
    refusals: dict[str, str] = field(default_factory=dict)
    left: int = 0
    sites: int = 0
    unchecked: list[str] = field(default_factory=list)
    removed: str = "no"
    seconds: float = 0.0
    folder: str = ""

    def as_row(self) -> dict[str, Any]:
        """The outcome as plain data."""
        return asdict(self)


class Wrong(Exception):
    """A value that is not the oracle's."""


class TooLong(BaseException):
    """A network took longer than allowed."""


class Case:
    """A network, twice: ``model`` as the library gets it, ``plain`` for the oracle alone."""

    def __init__(self, seed: int, folder: Path | None) -> None:
        self.net, self.folder = drawn(seed), folder
        self.data = given(self.net)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.model = wrapped(self.net, built(self.net))
        self.inner, self.plain = inside(self.model), built(self.net).eval()
        self.found = Outcome(seed, blocks=self.net.blocks, form=self.data.form)
        self.rng = random.Random(f"checks {seed}")
        self.inputs = batch_of(self.net, 5, seed + 2)
        self.rounding = self._rounding()
        self.residual = self.rng.random() < 0.3

    def scores(self, module: nn.Module, inputs: Any) -> Tensor:
        """The scores of a module."""
        return scores_of(self.net, module, inputs)

    def plain_scores(self) -> Tensor:
        """The plain module's scores of the batch that is looked at."""
        return self.scores(self.plain, self.inputs)

    def _rounding(self) -> float:
        """Rounding of the scores, as a share of the largest: measured against float64."""
        if self.net.float64:
            return 1e-4 if "mixed types" in self.net.blocks else 1e-9
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ours = self.plain_scores().double()
            exact = built(replace(self.net, float64=True)).eval()
            try:
                theirs = self.scores(exact, in_double(self.inputs))
            except RuntimeError:  # a layer of other numbers, in float64 or by autocast in 16 bits
                return 1e-3
        return 20 * float((ours - theirs).abs().max() / theirs.abs().max()) + 1e-5

    def same(self, ours: Tensor, theirs: Tensor, what: str) -> None:
        """Refuse values that differ by more than rounding."""
        if ours.shape != theirs.shape:
            raise Wrong(f"{what}: shape {tuple(ours.shape)}, not {tuple(theirs.shape)}")
        apart = float((ours.double() - theirs.double()).abs().max())
        size = max(float(theirs.abs().max()), 1e-3)
        if not apart <= self.rounding * size:
            raise Wrong(f"{what}: {apart:.3g} apart of {size:.3g} (rounding {self.rounding:.1e})")

    def unsure(self, scores: Tensor) -> float:
        """How many examples have two scores so close that rounding decides."""
        top = scores.double().topk(2, -1).values
        near = (top[..., 0] - top[..., 1]) <= 2 * self.rounding * float(scores.abs().max())
        return float(near.reshape(len(near), -1).any(1).sum())

    def asked(self, what: str, work: Callable[[], Any]) -> Any:
        """Do it; keep a refusal, a wrong value or a raw error. What it gives, or None."""
        picture = Picture(self.model)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return work()
        except FrivolousError as refusal:
            self.found.refusals[what] = str(refusal)[:1500]
            if "\n" in str(refusal):
                self.fault(what, "wrong", "a message of several lines", str(refusal))
        except Wrong as wrong:
            self.fault(what, "wrong", str(wrong), "")
        except Exception as error:  # noqa: BLE001 - any error that is not the library's own is raw
            text = f"{type(error).__name__}: {error}"
            self.fault(what, "raw", text, traceback.format_exc())
        finally:
            if changed := ", ".join(picture.changes()[:4]):
                self.fault(what, "wrong", f"the user's module changed: {changed}", "")
        return None

    def fault(self, check: str, kind: str, message: str, trace: str) -> None:
        """Keep a fault."""
        message = " ".join(message.split())[:400]
        row = {"check": check, "kind": kind, "message": message, "trace": trace[-2500:]}
        self.found.faults.append(row)


def changed_labels(before: Tensor, after: Tensor) -> float:
    """How many examples have another label; of several labels each, the share that changed."""
    other = before.argmax(-1) != after.argmax(-1)
    return float(other.double().reshape(len(other), -1).mean(1).sum())


@contextlib.contextmanager
def quickly(again: bool) -> Iterator[None]:
    """Spare what is asked of one network several times and takes the most time.

    Reports time a module once, since the fuzz asks for no latency. A module is exported once and
    what came of it is read by every verb, that of copies too, unless it is to be exported ``again``
    by each: nine tenths of all time would be ``torch.export``'s.
    """
    tracing = importlib.import_module("frivolous.network.trace")
    compressing = importlib.import_module("frivolous.compression.compress")
    known: dict[Any, Any] = {}
    copies: dict[int, tuple[nn.Module, int]] = {}
    export = tracing._exported

    def first(module: nn.Module) -> int:
        return copies[id(module)][1] if id(module) in copies else id(module)

    def noted(model: nn.Module, copy: nn.Module) -> None:
        pairs = list(zip(model.modules(), copy.modules(), strict=True))
        copies.update({id(own): (own, first(module)) for module, own in pairs})

    def private(model: nn.Module, make: Any = compressing.private) -> Any:
        found = make(model)
        noted(model, found[0])
        return found

    def sharing(model: nn.Module, make: Any = compressing.sharing) -> nn.Module:
        found = make(model)
        noted(model, found)
        return found

    def once(model: nn.Module, *given: Any, **options: Any) -> Any:
        def shape(leaf: Any) -> Any:
            return (leaf.shape[1:], leaf.dtype) if isinstance(leaf, Tensor) else leaf

        key = first(model), repr(tree_map(shape, (given, options)))
        if key not in known:  # the model stays alive with its key
            known[key] = model, export(model, *given, **options)
        return known[key][1]

    with patched(running, REPEATS=1, SECONDS=0.0):
        if again:
            yield
            return
        of_copies = {"private": private, "sharing": sharing}
        with patched(tracing, _exported=once), patched(compressing, **of_copies):
            yield


@contextlib.contextmanager
def patched(module: Any, **values: Any) -> Iterator[None]:
    """Other values for some names of a module, for a while; names that it has."""
    kept = {name: getattr(module, name) for name in values if hasattr(module, name)}
    try:
        vars(module).update({name: values[name] for name in kept})
        yield
    finally:
        vars(module).update(kept)
