"""The errors that a user can fix, and the look-up that suggests the nearest name.

An error's message is one line: the argument, what came, the rule and the remedy.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, TypeVar

Value = TypeVar("Value")

MOST_NAMED = 30
"""Known names that the message on an unknown one lists."""


class FrivolousError(Exception):
    """Base of every error that a user can fix; the command line prints it and exits with 2."""


class BadArgument(FrivolousError, ValueError):
    """An argument breaks a rule: the message names it, its value, the rule and the remedy."""


class UnknownName(BadArgument):
    """A name that no registry entry answers to; the message offers the nearest known one."""


class NotTraceable(FrivolousError, TypeError):
    """A model that cannot be read as a graph of sites."""


class NotFinite(FrivolousError, ValueError):
    """A NaN or an infinity where a measure needs numbers; the message names the site."""


class StoreError(FrivolousError, OSError):
    """The store cannot be read or written."""


class Interrupted(KeyboardInterrupt):
    """Work stopped by Ctrl-C, with what was done until then in ``found``."""

    def __init__(self, message: str, found: Any) -> None:
        super().__init__(message)
        self.found = found


def one_line(error: BaseException | str, most: int = 200) -> str:
    """An error as one line without a full stop, such as "ValueError: no such layer".

    Long texts end after a whole word; addresses of web pages are left out.

    >>> one_line(ValueError("no such layer.  See https://example.org/layers for more."))
    'ValueError: no such layer. See for more'
    >>> one_line("a " * 200, most=9)
    'a a a ...'
    """
    text = " ".join(word for word in str(error).split() if "://" not in word).rstrip(".")
    if len(text) > most:
        text = f"{text[: most - 2].rpartition(' ')[0].rstrip('.,;:')} ..."
    if isinstance(error, str):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def look_up(table: Mapping[str, Value], name: str, kind: str) -> Value:
    """Return ``table[name]``, or raise :class:`UnknownName` naming the known and the nearest.

    >>> look_up({"mlp": 1}, "mlp", "family")
    1
    >>> look_up({"mlp": 1, "vgg": 2}, "mpl", "family")
    Traceback (most recent call last):
    ...
    frivolous.errors.UnknownName: unknown family 'mpl'; did you mean 'mlp'? Known: mlp, vgg.
    """
    if name in table:
        return table[name]
    near = [known for known in table if name and known.startswith(name)]
    near = near or difflib.get_close_matches(name, table, n=1, cutoff=0.4)
    hint = f"; did you mean '{near[0]}'?" if near else "."
    shown = list(table)[:MOST_NAMED]
    more = f" and {len(table) - len(shown)} more" if len(table) > len(shown) else ""
    known = ", ".join(shown) or "none"
    raise UnknownName(f"unknown {kind} '{name}'{hint} Known: {known}{more}.")
