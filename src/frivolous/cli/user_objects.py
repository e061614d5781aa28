"""Objects that a user names on the command line as ``FILE.py:NAME``."""

from __future__ import annotations

import importlib.util
import inspect
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from frivolous.errors import BadArgument, FrivolousError, look_up, one_line

_LOADED: dict[tuple[Path, int], ModuleType] = {}
"""Modules by file and time of change: model and data of one file come from one import."""


def load_object(place: str, argument: str) -> Any:
    """Return what ``FILE.py:NAME`` names; the file is run once, however many names are read."""
    file, colon, name = place.rpartition(":")
    path = Path(file)
    if not colon or not name or not file:
        raise BadArgument(f"`{argument}` is FILE.py:NAME; got {place}. Write e.g. model.py:net.")
    try:
        there = path.is_file()
    except OSError as error:  # no right to look, a name that is too long
        raise BadArgument(
            f"`{argument}` names the file {file}, which cannot be read ({error.strerror}). Mend "
            "its rights, or name another file."
        ) from error
    if not there:
        raise BadArgument(
            f"`{argument}` names the file {file}, which is not there. Write FILE.py:NAME with a "
            f"file in {Path.cwd()} or its whole path."
        )
    module = _module(path, argument)
    if hasattr(module, name):
        return getattr(module, name)
    own = {key: None for key, value in vars(module).items() if _is_own(key, value, module)}
    return look_up(own, name, f"`{argument}` in {file}:")


def _is_own(name: str, value: Any, module: ModuleType) -> bool:
    """Whether a file's name is worth offering: public, and not merely imported there."""
    if name.startswith("_") or isinstance(value, ModuleType) or name == "annotations":
        return False
    is_definition = inspect.isclass(value) or inspect.isroutine(value)
    return not is_definition or value.__module__ == module.__name__


def called(function: Any, place: str, argument: str) -> Any:
    """Return what a user's function gives without arguments; any other object as it is."""
    if not callable(function):
        return function
    try:
        needed = [
            parameter.name
            for parameter in inspect.signature(function).parameters.values()
            if parameter.default is parameter.empty
            and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        ]
    except (TypeError, ValueError):  # a built-in may have no signature
        needed = []
    if needed:
        raise BadArgument(
            f"`{argument}` {place} needs the arguments {', '.join(needed)}; it is called without "
            "any. Name a function that needs none."
        )
    try:
        return function()
    except (Exception, SystemExit) as error:
        raise BadArgument(
            f"`{argument}` {place} cannot be called: {_told(error)}. Correct the function; it is "
            "called without arguments."
        ) from error


@contextmanager
def users_code() -> Iterator[None]:
    """Turn what a user's file raises while its objects are used into one line with the place.

    Any other error passes: it is not the user's to mend.
    """
    try:
        yield
    except FrivolousError:
        raise
    except Exception as error:
        files = {path for path, _ in _LOADED}
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if Path(frame.filename).resolve() in files]
        if not own:
            raise
        last = own[-1]
        raise BadArgument(
            f"{last.filename}, line {last.lineno}, in {last.name}: {_told(error)}. Correct the "
            "file; `model` or `data` comes from it."
        ) from error


def _module(path: Path, argument: str) -> ModuleType:
    known = (path.resolve(), path.stat().st_mtime_ns)
    if known in _LOADED:
        return _LOADED[known]
    # A file called like a module that is in use must not take its place.
    name = path.stem if path.stem not in sys.modules else f"_frivolous_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise BadArgument(f"`{argument}` names {path}, which is no Python file; give FILE.py:NAME.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(path.parent.resolve()))
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        sys.modules.pop(name, None)
        raise BadArgument(
            f"`{argument}`: {path} cannot be imported: {_told(error)}. Correct the file; "
            f"`python {path}` shows where."
        ) from error
    _LOADED[known] = module
    return module


def _told(error: BaseException) -> str:
    """Return an error in one line, without a full stop."""
    return one_line(str(error) if isinstance(error, FrivolousError) else error, 300)
