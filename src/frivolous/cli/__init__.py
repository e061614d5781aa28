"""The command line. Heavy imports stay inside the verbs, so that ``--help`` is quick.

- ``verbs``: every verb with its options, and ``main``
- ``study``, ``status``, ``measure``, ``compress``, ``fetch``: what the verbs do
- ``study_args``, ``scale``: which studies are asked for, at which scale, and what that costs
- ``user_studies``: a study by its name, or a user's own by ``FILE.py:NAME``
- ``user_objects``, ``user_inputs``: what users name as ``FILE.py:NAME``, and its use
- ``system_errors``: errors of disk and system in one line
- ``progress_bar``: how far a study is
"""

from __future__ import annotations

from frivolous.cli.verbs import main

__all__ = ["main"]
