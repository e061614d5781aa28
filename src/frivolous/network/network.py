"""A network that can be run up to a site, changed there and run on."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from frivolous.errors import BadArgument, look_up
from frivolous.inputs.batch import Inputs
from frivolous.network.binding import as_values
from frivolous.network.frontier import Frontier
from frivolous.network.module.wrappers import own_names
from frivolous.network.program import Edit, Plan, Program, execute, needed
from frivolous.network.rewrites import after_pooling, smoothed
from frivolous.network.state_dict import checked
from frivolous.network.units.outgoing_weights import Reader, reader_products
from frivolous.network.units.sites import Site

NO_EDITS: Mapping[str, Edit] = MappingProxyType({})


@dataclass(frozen=True)
class Network:
    """A model read into a graph: its sites, and its computation in whole or in parts.

    Holds references to the model's own parameters and buffers (detached, sharing their storage): a
    model trained further in place is seen as it then is. Computes as the model does in evaluation
    mode, without gradients. ``skipped`` has (layer, reason) for what could not be given a site.
    """

    sites: tuple[Site, ...]
    skipped: tuple[tuple[str, str], ...]
    program: Program = field(repr=False)
    places: Mapping[str, int] = field(repr=False)  # site -> value
    readers: Mapping[str, tuple[Reader, ...]] = field(repr=False)
    state: Mapping[str, Tensor] = field(repr=False)
    ties: tuple[tuple[str, ...], ...] = field(repr=False)  # names of one and the same tensor
    device: torch.device
    _plans: dict[Any, tuple[Plan, Plan]] = field(default_factory=dict, repr=False, compare=False)
    _largest: dict[Any, int] = field(default_factory=dict, repr=False, compare=False)

    def site(self, name: str) -> Site:
        """The site of that name; the error for an unknown name suggests the nearest."""
        return look_up({site.name: site for site in self.sites}, name, "site")

    @property
    def dtype(self) -> torch.dtype:
        """The floating-point type of the output."""
        return self.program.dtypes[self.program.output]

    def __call__(self, inputs: Inputs) -> Tensor:
        """The model's output for a batch: a tensor, a tuple of them, or keyword tensors."""
        return self.run(inputs, NO_EDITS)

    @torch.no_grad()
    def run(self, inputs: Inputs, edits: Mapping[str, Edit]) -> Tensor:
        """Run the whole computation, with the activity at each named site replaced by its edit.

        An edit gets the activity (already touched by the edits before it) and returns a new tensor
        of the same shape; it must not change what it gets.
        """
        program = self.program
        values, batch = as_values(inputs, program, self.device)
        values |= program.known(self.state, batch)
        whole = self._parts(())[1]
        return execute(whole, values, self._edits(edits))[program.output]

    @torch.no_grad()
    def until(self, site: str | Sequence[str], inputs: Inputs) -> Frontier:
        """Run everything that does not depend on the site, and stop there.

        With several sites: everything that depends on none of them. A site that depends on another
        one is not among ``Frontier.heads``; it is reached by an edit in ``onward``.
        """
        names = self._names(site)
        before = self._parts(names)[0]
        values, batch = as_values(inputs, self.program, self.device)
        values |= self.program.known(self.state, batch)
        execute(before, values, {})
        heads = {name: self.places[name] for name in self.heads(names)}
        kept = {index: values[index] for index in before.alive}
        return Frontier(self.program, names, heads, kept, batch)

    @torch.no_grad()
    def onward(
        self, site: str | Sequence[str], alive: Frontier, edits: Mapping[str, Edit] = NO_EDITS
    ) -> Tensor:
        """Finish a computation that ``until`` stopped at the same sites, with edits on the way."""
        names = self._names(site)
        if names != alive.sites:
            raise BadArgument(
                f"`alive` was stopped at {', '.join(alive.sites)}, not at {', '.join(names)}. "
                f"Pass the site that `until` was given."
            )
        after = self._parts(names)[1]
        values = {**alive.values, **self.program.known(self.state, alive.batch)}
        return execute(after, values, self._edits(edits))[self.program.output]

    def heads(self, sites: Sequence[str]) -> tuple[str, ...]:
        """Those of the sites that depend on no other of them; a computation can stop there."""
        names = self._names(sites)
        downstream = {step.index for step, _ in self._parts(names)[1].steps}
        return tuple(name for name in names if self.places[name] not in downstream)

    def activities(
        self, inputs: Inputs, sites: Sequence[str] | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The output and the activity at every site (or those named), in one pass."""
        names = [site.name for site in self.sites] if sites is None else list(sites)
        seen: dict[str, Tensor] = {}

        def watch(name: str) -> Edit:
            def note(value: Tensor) -> Tensor:
                seen[name] = value
                return value

            return note

        output = self.run(inputs, {name: watch(name) for name in names})
        return output, {name: seen[name] for name in names}

    @torch.no_grad()
    def values(self, inputs: Inputs, indices: Collection[int]) -> tuple[Tensor, dict[int, Tensor]]:
        """The output and the values at these places of the program, in one pass."""
        program, seen = self.program, {}
        values, batch = as_values(inputs, program, self.device)
        values |= program.known(self.state, batch)

        def watch(index: int) -> Edit:
            def note(value: Tensor) -> Tensor:
                seen[index] = value
                return value

            return note

        edits = {index: watch(index) for index in indices}
        output = execute(self._parts(())[1], values, edits)[program.output]
        return output, seen

    @torch.no_grad()
    def computed(self, index: int) -> Tensor:
        """A value that no input reaches, such as a weight made of several parameters."""
        return self.program.computed(self.state, index)

    def differentiable(self, inputs: Inputs, edits: Mapping[int, Edit]) -> Tensor:
        """The output, differentiable in what ``edits`` (by place in the program) add."""
        values, batch = as_values(inputs, self.program, self.device)
        values |= self.program.known(self.state, batch)
        whole = self._parts(())[1]
        smooth = replace(whole, steps=tuple((smoothed(s), ends) for s, ends in whole.steps))
        with torch.enable_grad():
            output: Tensor = execute(smooth, values, edits)[self.program.output]
        return output

    def reader_products(self, site: str) -> Tensor:
        """Products of the weights that read the site's units: W W' (U, U), float64.

        Row j of W (U, R) holds every weight on unit j: of all readers, all taps of a convolution,
        all positions of a flattened feature map. The diagonal holds squared outgoing norms.
        """
        found = self.site(site)
        place = self.places[found.name]
        axis = found.axis % len(self.program.shapes[place])
        return reader_products(self.program, self.state, place, axis, self.readers[found.name])

    def with_weights(self, state: Mapping[str, Tensor]) -> Network:
        """The same graph with other parameters and buffers, named as in ``state_dict()``.

        The state of a wrapper around the model (``torch.compile``, ``DataParallel``) is accepted
        too. Raises ``BadArgument`` for the first name that is missing, unknown or of another shape
        or type, with the number of others.
        """
        values = {
            name: tensor.detach().to(self.device)
            for name, tensor in checked(own_names(state, self.state), self.state, self.ties).items()
        }
        return replace(self, state=values)

    def to(self, device: torch.device | str) -> Network:
        """The same network on another device; batches are moved there when they are passed."""
        device = torch.device(device)
        if device == self.device:
            return self
        state = {name: tensor.to(device) for name, tensor in self.state.items()}
        return replace(
            self,
            program=self.program.on(device),
            state=state,
            device=device,
            _plans={},
            _largest={},
        )

    def past_pooling(self) -> Network:
        """The same network with sites moved behind the max-pooling that alone reads them.

        For silencing whole channels: the result is the same there, and pooling is done once for
        all.
        """
        images = [site.name for site in self.sites if site.axis == 1 and len(site.positions) == 2]
        places = after_pooling(self.program, self.places, images)
        return (
            self if places == self.places else replace(self, places=places, _plans={}, _largest={})
        )

    def largest_value(self, site: str | Sequence[str]) -> int:
        """The largest number of entries per example of a value computed after a site."""
        names = self._names(site)
        if names not in self._largest:
            steps = self._parts(names)[1].steps
            known = [step.index for step, _ in steps if step.index in self.program.shapes]
            self._largest[names] = max(
                (math.prod(self.program.shape_of(index, 1)) for index in known), default=0
            )
        return self._largest[names]

    def _names(self, site: str | Sequence[str]) -> tuple[str, ...]:
        names = (site,) if isinstance(site, str) else tuple(site)
        if not names:
            raise BadArgument("`site` names no site; pass one name or several.")
        return tuple(self.site(name).name for name in names)

    def _edits(self, edits: Mapping[str, Edit]) -> dict[int, Edit]:
        return {self.places[self.site(name).name]: edit for name, edit in edits.items()}

    def _parts(self, names: tuple[str, ...]) -> tuple[Plan, Plan]:
        """Split the steps into those that depend on none of the sites, and the rest.

        With no sites, nothing and everything. Values that only the batch size decides are not
        carried over: each part computes them for its own batch, which may hold several copies.
        """
        if names in self._plans:
            return self._plans[names]
        program = self.program
        reached = {self.places[name] for name in names}
        downstream = set() if names else {step.index for step in program.steps}
        for step in program.steps:
            if not (reached | downstream).isdisjoint(step.needs):
                downstream.add(step.index)
        anew = program.of_the_batch()
        late = [step for step in program.steps if step.index in downstream | anew]
        early = [step for step in program.steps if step.index not in downstream]
        after = needed(late, {program.output})
        made = {step.index for step in early} | set(program.inputs)
        used = {need for step in after for need in step.needs} | {program.output}
        alive = ((made & used) | reached) - downstream - anew
        parts = (program.plan(needed(early, alive), alive), program.plan(after, {program.output}))
        self._plans[names] = parts
        return parts
