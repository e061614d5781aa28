"""Progress lines: how much of a long computation is done, and how long the rest may take."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from frivolous.inputs.batch import Batch, batch_size_of
from frivolous.inputs.batches import Batches

EVERY = 0.5
"""Seconds between two lines about the same part of the work."""

Tell = Callable[[str], None]


class Progress:
    """Reports what is running, what share of it is done and about how long the rest may take.

    >>> lines = []
    >>> work = Progress(lines.append)
    >>> work.begin("units", parts=2)
    >>> work.part("units of fc", 1)
    >>> lines
    ['units', 'units of fc: 50%, about 0 s left']
    """

    def __init__(self, tell: Tell | None) -> None:
        self._tell = tell or (lambda line: None)
        self.begin("")

    def begin(self, what: str, parts: int = 1) -> None:
        """Begin a stage that has this many parts of about the same cost."""
        self.what, self.parts, self.number = what, max(parts, 1), 0
        self.began = self.told = time.monotonic()
        if what:
            self._tell(what)

    def part(self, what: str, number: int) -> None:
        """Go on to the part of this number, from 0."""
        self.what, self.number = what, number
        self._say(0.0)

    def share(self, done: float) -> None:
        """Report what share of the current part is done, unless a line was just printed."""
        if time.monotonic() - self.told >= EVERY:
            self._say(done)

    def note(self, words: str) -> None:
        """Report something else about the current part."""
        if time.monotonic() - self.told >= EVERY:
            self.told = time.monotonic()
            self._tell(f"{self.what}: {words}")

    def through(self, batches: Batches) -> Batches:
        """The same batches, reporting how many of them have been read."""

        def source() -> Iterator[Batch]:
            seen = 0
            for batch in batches.source():
                yield batch
                # The consumer has finished the batch once it requests the next one.
                seen += batch_size_of(batch[0])
                self.share(min(seen / batches.examples, 1.0))

        return replace(batches, source=source)

    def _say(self, done: float) -> None:
        self.told = time.monotonic()
        whole = min((self.number + done) / self.parts, 1.0)
        if not whole:
            self._tell(self.what)
            return
        left = duration((self.told - self.began) * (1 - whole) / whole)
        self._tell(f"{self.what}: {whole:.0%}, about {left} left")


def duration(seconds: float) -> str:
    """A time in its largest two units that matter.

    >>> duration(12.3), duration(200), duration(4000)
    ('12 s', '3 min', '1 h 7 min')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
