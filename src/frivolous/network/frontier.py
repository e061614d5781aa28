"""The state of a computation that was stopped at a site, and copies of it in one batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from torch import Tensor

from frivolous.errors import BadArgument, look_up
from frivolous.network.program import Program


@dataclass(frozen=True)
class Frontier:
    """Everything that the rest of a computation needs, at one site or at several.

    ``values`` are the values alive there by their place in the program, ``heads`` the sites among
    them, ``batch`` the number of examples.
    """

    program: Program = field(repr=False)
    sites: tuple[str, ...]
    heads: Mapping[str, int]
    values: Mapping[int, Any] = field(repr=False)
    batch: int

    @property
    def value(self) -> Tensor:
        """The activity at the site; at the first of them if there are several."""
        return self.values[self.heads[self.sites[0]]]

    def at(self, site: str) -> Tensor:
        """The activity at one of ``heads``."""
        return self.values[look_up(self.heads, site, "site alive here")]

    def replace(self, value: Tensor | Mapping[str, Tensor]) -> Frontier:
        """The same state with another activity (or one per site named), of the same shape."""
        values = {self.sites[0]: value} if isinstance(value, Tensor) else value
        for site, new in values.items():
            old = self.at(site)
            if new.shape != old.shape:
                raise BadArgument(
                    f"`value` for site '{site}' has shape {tuple(new.shape)}; the activity there "
                    f"has {tuple(old.shape)}. Keep the shape; to silence units set them to zero."
                )
        changed = {self.heads[site]: new for site, new in values.items()}
        return replace(self, values={**self.values, **changed})

    @property
    def stackable(self) -> bool:
        """Whether copies can be stacked along the batch: every value has a batch axis."""
        try:
            for index in self.values:
                self.program.batch_axis(index)
        except LookupError:
            return False
        return True

    def stacked(self, copies: int, given: Mapping[str, Tensor] = MappingProxyType({})) -> Frontier:
        """Return ``copies`` copies of the state, one after another in one batch.

        ``given`` has the activity at some of ``heads``, already stacked.
        """
        heads = {self.heads[site]: value for site, value in given.items()}
        values = {
            index: heads[index] if index in heads else self._repeated(index, copies)
            for index in self.values
        }
        return replace(self, values=values, batch=self.batch * copies)

    def taken(self, rows: Tensor, given: Mapping[str, Tensor] = MappingProxyType({})) -> Frontier:
        """The state of these examples as one batch; an example may occur several times.

        ``given`` has the activity at some of ``heads``, for these examples already.
        """
        heads = {self.heads[site]: value for site, value in given.items()}
        values = {
            index: heads[index] if index in heads else self._picked(index, rows)
            for index in self.values
        }
        return replace(self, values=values, batch=len(rows))

    def _picked(self, index: int, rows: Tensor) -> Any:
        value, axis = self.values[index], self.program.batch_axis(index)
        if axis is None:
            return value
        # Other axes may be flattened into that of the examples, behind them.
        apart = value.unflatten(axis, (self.batch, -1))
        return apart.index_select(axis, rows).flatten(axis, axis + 1)

    def _repeated(self, index: int, copies: int) -> Any:
        value = self.values[index]
        if copies == 1:
            return value
        axis = self.program.batch_axis(index)
        if axis is None:
            return value
        return value.repeat(*(copies if a == axis else 1 for a in range(value.dim())))
