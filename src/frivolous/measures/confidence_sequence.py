"""Confidence sequences: bounds that stay valid however often one looks, for shares and crossings.

Intuition. Compute a 95% interval after every batch and stop when it is narrow enough, and it covers
the truth in fewer than 95% of cases: there were many chances to be wrong. A confidence sequence
covers at *every* number of examples at once, so one may look and stop at any time.

It comes from betting. Start with a capital of 1 and bet on the next example against a hypothesis
about the mean. If the hypothesis is true no bet is expected to win, and the capital ever reaches
1 / alpha with probability at most alpha (Ville's inequality). So a hypothesis against which the
capital has reached 1 / alpha is refuted, once and for all; the bounds hold what is not refuted.

Worked example, a share. Of 10 examples 9 keep their label. Against "the share is p", the capital
of a mixture of bets is K = B(9.5, 1.5) / (B(0.5, 0.5) p^9 (1 - p)), B the beta function:

    p      0.3    0.4   0.5   0.6   0.7   0.8   0.9
    K      673   59.0   9.5   2.3   0.8   0.3   0.2

At a level of 95%, 1 / alpha = 20: shares of 0.4 and below are refuted and 0.5 is not. The lower
bound lies where K is 20:

>>> low, high = sequence(9, 10)
>>> round(float(low), 3), round(float(high), 3)
(0.456, 1.0)

Worked example, a crossing. An ablation curve is known at fractions 0, 0.5 and 1 of the units.
Every example keeps its label up to 0.5 and loses it at 1, so the curve falls from 1 to 0 between
them and crosses a target of 0.8 at 0.6. At the point 0.7, 40% of the way, an example is worth
0.6 of a label, 0.2 less than the target; against "the curve is at 0.8 or above here" the largest
bet that cannot lose more than all gains 0.2 / (1 - 0.8) = 1 per example: its capital doubles with
each of them. Near 0.6 gains are small and more examples are needed:

>>> one = np.ones(100, dtype=np.int64)
>>> curve = CrossingSequence((0.0, 0.5, 1.0), target=0.8, alpha_low=0.025, alpha_high=0.025)
>>> for _ in range(2):
...     curve.add({place: one if place < 2 else 0 * one for place in curve.needed}, labels=one)
...     print(curve.low, curve.high, curve.needed)
0.572265625 0.607421875 [1, 2]
0.5859375 0.603515625 [1, 2]

After 100 examples nothing needs to be known at fraction 0 any more.

Source: Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting" (2024).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaln, xlog1py, xlogy

from frivolous.errors import BadArgument
from frivolous.measures import validation
from frivolous.measures.curve import Draws, Interval, crossing

Numbers = NDArray[np.float64]
Whole = NDArray[np.int64]

SLICES = 256
"""Points between two fractions at which a crossing is tested."""
BETS = np.geomspace(0.01, 0.95, 16)
"""Bets, as shares of one that may lose everything. The capital is the mean over them: small bets
win slowly where the curve is near the target, large ones fast where it is far away."""
LEAST_LOSS = 1e-3
"""The least share of changed labels that bets assume is allowed: with none, a bet is infinite."""
KINDS = 256
"""Kinds of examples processed together, which bounds the memory."""
HALVINGS = 50
"""Bisection steps: the bounds of a share are exact to rounding."""


def sequence(successes: ArrayLike, n: ArrayLike, level: float = 0.95) -> tuple[Numbers, Numbers]:
    """Bounds (low, high) of a proportion that hold at every n at once, in [0, 1].

    They enclose the shares p against which a mixture of bets, weighted by the Beta(1/2, 1/2)
    distribution, has not won 1 / (1 - level). With s successes and f failures its capital is

        B(s + 1/2, f + 1/2) / (B(1/2, 1/2) p^s (1 - p)^f)

    ``successes`` may be sums of shares in [0, 1]; ``n`` of 0 gives [0, 1].

    >>> low, high = sequence(80, 100)
    >>> round(float(low), 3), round(float(high), 3)
    (0.648, 0.909)
    """
    limit = -np.log(1 - validation.confidence(level))
    won, tried = np.broadcast_arrays(
        validation.finite("successes", successes), validation.finite("n", n)
    )
    if (won < 0).any() or (won > tried).any():
        raise BadArgument(
            f"`successes` are counts from 0 to n; got {won.min():g} to {won.max():g} for n of "
            f"{tried.min():g} to {tried.max():g}."
        )
    lost = tried - won
    share = np.divide(won, tried, out=np.full(won.shape, 0.5), where=tried > 0)
    mixture = betaln(won + 0.5, lost + 0.5) - betaln(0.5, 0.5)

    def end(outside: float) -> Numbers:
        # Capital falls from the end towards the observed share: bisect for where it is the limit.
        refuted, kept = np.full(won.shape, outside), share.copy()
        for _ in range(HALVINGS):
            middle = (refuted + kept) / 2
            with np.errstate(divide="ignore"):
                capital = mixture - xlogy(won, middle) - xlog1py(lost, -middle)
            refuted = np.where(capital >= limit, middle, refuted)
            kept = np.where(capital >= limit, kept, middle)
        return refuted

    return np.where(won > 0, end(0.0), 0.0), np.where(lost > 0, end(1.0), 1.0)


@dataclass(eq=False)
class CrossingSequence:
    """Where one ablation curve falls below ``target``, bounded at every number of examples at once.

    ``target`` is the share of labels that must stay, ``fractions`` ascend from 0. Between two
    fractions the curve is a line, so at a point a share t of the way along it lies above ``target``
    exactly if the mean over examples of

        (1 - t) a + t b - target c

    is positive: a and b are the example's unchanged labels at the fractions on either side, c is
    how many labels it has. Each point is one hypothesis, tested by bets on both sides. Many points
    do not add up errors: where the curve really crosses, a wrong bound requires that the one true
    hypothesis there is refuted. So the lower bound fails with probability at most ``alpha_low`` and
    the upper with ``alpha_high``, whatever the number of points.

    Evaluate the fractions in :attr:`needed`, pass the labels to :meth:`add`, and repeat until
    ``high - low`` is small enough.
    """

    fractions: tuple[float, ...]
    target: float
    alpha_low: float
    alpha_high: float
    kept_F: Numbers = field(init=False)
    labels_F: Numbers = field(init=False)
    examples_F: NDArray[np.int64] = field(init=False)
    low: float = field(init=False, default=0.0)
    high: float = field(init=False, default=1.0)

    def __post_init__(self) -> None:
        """Begin without examples: the curve may cross anywhere."""
        size = len(self.fractions)
        self.kept_F, self.labels_F = np.zeros(size), np.zeros(size)
        self.examples_F = np.zeros(size, dtype=np.int64)
        self.high = self.fractions[-1]
        inner = np.arange(SLICES) / SLICES
        steps = [start + inner * (end - start) for start, end in itertools.pairwise(self.fractions)]
        # A fraction is the first point of the step that begins there; only the last ends one too.
        self._points = np.append(np.concatenate(steps), self.fractions[-1])
        self._starts = [step * SLICES for step in range(size - 1)] + [len(self._points)]
        shape = (len(self._points), len(BETS))
        self._above, self._below = np.zeros(shape), np.zeros(shape)  # logarithms of capital
        self._is_above = np.zeros(len(self._points), dtype=bool)
        self._is_below = np.zeros(len(self._points), dtype=bool)

    @property
    def steps(self) -> list[int]:
        """The intervals between neighbouring fractions in which the crossing may lie."""
        at = self.fractions
        return [
            step
            for step in range(len(at) - 1)
            if at[step] <= self.high and at[step + 1] >= self.low
        ]

    @property
    def needed(self) -> list[int]:
        """Indices of the ``fractions`` at which labels of further examples must be known."""
        return sorted({at for step in self.steps for at in (step, step + 1)})

    @property
    def crossing(self) -> float:
        """Where the observed curve crosses ``target``, clipped to the bounds."""
        known = self.labels_F > 0
        shares = np.divide(self.kept_F, self.labels_F, out=np.ones_like(self.kept_F), where=known)
        at = np.asarray(self.fractions)
        found = crossing(at[known], shares[known], 1 - self.target) if known.any() else 1.0
        return float(np.clip(found, self.low, self.high))

    def add(self, kept: Mapping[int, Whole], labels: Whole, most: int = 1) -> None:
        """Take in new examples: how many labels of each are unchanged at the fractions needed.

        ``kept`` maps each index of :attr:`needed` to whole numbers (N,); ``labels`` (N,) is how
        many labels each example has, at most ``most``. Examples must be drawn at random, each only
        once.
        """
        labels_N = np.asarray(labels)
        for place, given in kept.items():
            self.kept_F[place] += np.sum(given)
            self.labels_F[place] += labels_N.sum()
            self.examples_F[place] += len(labels_N)
        for step in self.steps:
            # Bets depend on (a, b, c) alone, and few triples differ: with one label per example at
            # most four. So examples are counted by triple, each written as one whole number.
            base = most + 1
            triples = (kept[step] * base + kept[step + 1]) * base + labels_N
            codes, counts = np.unique(triples, return_counts=True)
            kinds = np.stack([codes // base**2, codes // base % base, codes % base], axis=1) / most
            self._bet(step, kinds, counts)
        # ``low``: up to here every point is shown to be above; ``high``: from here on all below.
        above = np.flatnonzero(~self._is_above)
        below = np.flatnonzero(~self._is_below)
        low = float(self._points[max(above[0] - 1, 0) if len(above) else -1])
        high = float(self._points[min(below[-1] + 1, len(self._points) - 1)])
        # The two contradict each other with a probability of alpha at most; then all between is
        # left open.
        self.low, self.high = min(low, high), max(low, high)

    def _bet(self, step: int, kinds_R3: Numbers, counts_R: Whole) -> None:
        """Bet at the points of one interval among which the crossing may still be.

        ``kinds`` are the different triples (a, b, c) as shares of the most labels an example can
        have, ``counts`` how many examples are of each.
        """
        first = max(self._starts[step], np.searchsorted(self._points, self.low))
        stop = min(self._starts[step + 1], np.searchsorted(self._points, self.high, side="right"))
        points = slice(first, max(first, stop))
        at, end = self.fractions[step : step + 2]
        along_T1 = ((self._points[points] - at) / (end - at))[:, None]
        for logs, flags, limit, alpha in (
            (self._above, self._is_above, 1 / self.target, self.alpha_low),
            (self._below, self._is_below, -1 / max(1 - self.target, LEAST_LOSS), self.alpha_high),
        ):
            # An example lies between -target and 1 - target from the target, so 1 / target and
            # -1 / (1 - target) are the largest bets that never lose more than all.
            for part in range(0, len(counts_R), KINDS):
                a, b, c = kinds_R3[part : part + KINDS].T
                gains_TR = limit * ((1 - along_T1) * a + along_T1 * b - self.target * c)
                growth_TBR = np.log1p(BETS[:, None] * gains_TR[:, None, :])
                logs[points] += growth_TBR @ counts_R[part : part + KINDS]
            largest = logs[points].max(axis=1)  # factored out, so that no exponential overflows
            capital = largest + np.log(np.exp(logs[points] - largest[:, None]).mean(axis=1))
            # Once refuted is refuted for good: what counts is the capital's largest value so far.
            flags[points] |= capital >= -np.log(alpha)


@dataclass(eq=False)
class PrunableSequence:
    """The prunable share of a site, bounded jointly over its random orders of ablation.

    Of ``draws`` orders the one with the largest crossing counts (``best``), or their mean. Done as
    soon as the bounds are no further than ``precision`` from their middle. With probability
    ``level`` they contain the true value, at every number of examples at once.
    """

    fractions: Sequence[float]
    draws: int
    draw: Draws
    tolerance: float
    precision: float
    level: float = 0.95
    curves: tuple[CrossingSequence, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Split the probability of a wrong bound among the orders (a union bound)."""
        alpha = (1 - validation.confidence(self.level)) / 2
        # The largest crossing's own upper bound is enough; any order's lower bound may be wrong.
        above = alpha if self.draw == "best" else alpha / self.draws
        at = tuple(float(fraction) for fraction in self.fractions)
        self.curves = tuple(
            CrossingSequence(at, 1 - self.tolerance, alpha / self.draws, above)
            for _ in range(self.draws)
        )

    @property
    def interval(self) -> Interval:
        """The prunable share of the units, with its bounds."""
        return Interval(self._of("crossing"), self._of("low"), self._of("high"))

    @property
    def done(self) -> bool:
        """Whether the bounds are close enough."""
        return self._of("high") - self._of("low") <= 2 * self.precision

    @property
    def open(self) -> list[int]:
        """The orders of which more examples are needed.

        Under ``best`` an order whose upper bound is below the best lower bound no longer matters.
        """
        if self.done:
            return []
        least = self._of("low") if self.draw == "best" else -1.0
        return [
            number
            for number, curve in enumerate(self.curves)
            if curve.high > least and curve.high - curve.low > 2 * self.precision
        ]

    def _of(self, name: str) -> float:
        values = [getattr(curve, name) for curve in self.curves]
        return float(max(values) if self.draw == "best" else np.mean(values))
