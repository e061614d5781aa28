"""All that is asked of the library for the network of one seed."""

from __future__ import annotations

import time
from pathlib import Path

from fuzzing.case import Case, Outcome, quickly
from fuzzing.compression_checks import compressed, removed, returned, saved, told
from fuzzing.site_checks import curve_by_hand, located, measured, read


def ask(
    seed: int, folder: Path | None = None, *, measure: bool = True, again: bool | None = None
) -> Outcome:
    """Ask everything of the network of a seed; what is to be loaded again goes into ``folder``.

    ``again`` has every verb export the module anew: by default for each tenth network.
    """
    began = time.perf_counter()
    case = Case(seed, folder)
    found = case.found
    with quickly(seed % 10 == 0 if again is None else again):
        network = case.asked("trace", lambda: read(case))
        if network is not None:
            places = case.asked("sites", lambda: located(case, network))
            thin = case.asked("compress", lambda: compressed(case, network))
            if thin is not None:
                case.asked("returned", lambda: returned(case, thin))
                case.asked("report", lambda: told(case, thin, network))
                if places is not None:
                    case.asked("removed", lambda: removed(case, thin, network, places))
                if folder is not None:
                    case.asked("save", lambda: saved(case, thin))
                found.left = int((thin.report.sites.reason != "").sum()) + len(network.skipped)
            table = case.asked("measure", lambda: measured(case)) if measure else None
            if table is not None:
                case.asked("curve", lambda: curve_by_hand(case, network, table))
    kinds = {fault["kind"] for fault in found.faults}
    found.outcome = (
        "raw" if "raw" in kinds else "wrong" if kinds else "refused" if found.refusals
        else "left" if found.left else "right"
    )  # fmt: skip
    found.seconds = round(time.perf_counter() - began, 2)
    return found
