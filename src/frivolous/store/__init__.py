"""Runs on disk: one network trained and measured from one spec, kept so that no kill loses it.

A store is a folder (POSIX file systems; NFS included)::

    store.json            the format of this store
    runs/<id>/            spec.json, *.parquet, weights.safetensors, record.json (the last)
    incoming/             what is being written; counts for nothing
    claims/               who is making which runs
    set-aside/<id>.…/     corrupt runs, each with why.txt; nothing is deleted

It knows no science: specs, frames, facts and weights go in and come out as they were.
"""

from __future__ import annotations

from frivolous.store.claims import Claim
from frivolous.store.identity import run_id
from frivolous.store.records import Problem, RunRecord
from frivolous.store.run import Run, Status
from frivolous.store.store import Store

__all__ = ["Claim", "Problem", "Run", "RunRecord", "Status", "Store", "run_id"]
