"""The tests that depend on rounding, under several sets of kernels and threads: ``make kernels``.

Which kernels a processor runs decides the order of its sums, and so the last bits of every score.
PyTorch, oneDNN and MKL take the order of an older processor where an environment variable asks for
it; each set is tried first, and left out with a word where this processor does not have it.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Tests whose outcome no sum decides: files, processes, drawings, words.
ELSEWHERE = (
    *("cli", "data", "figures", "published", "report", "store", "text", "studies/engine"),
    *("inputs/test_progress.py", "test_examples.py", "test_public.py", "test_readme.py"),
)
OLDEST = {
    "ATEN_CPU_CAPABILITY": "default",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "MKL_CBWR": "COMPATIBLE",
}
AVX2 = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_CBWR": "AVX2"}
CHOICES = tuple(OLDEST)
PROBE = """
import torch
print("ATEN", torch.backends.cpu.get_cpu_capability())
print("THREADS", torch.get_num_threads())
with torch.backends.mkl.verbose(torch.backends.mkl.VERBOSE_ON):
    torch.ones(64, 64) @ torch.ones(64, 64)
with torch.backends.mkldnn.verbose(torch.backends.mkldnn.VERBOSE_ON):
    torch.conv2d(torch.ones(2, 16, 8, 8), torch.ones(16, 16, 3, 3))
"""


@dataclass(frozen=True)
class Kernels:
    """A set of kernels: its variables, what they must lead to, and which hardware runs it."""

    name: str
    variables: dict[str, str]
    threads: int
    hardware: str
    # What PyTorch must name, and the kernel that oneDNN must take; None: whatever there is.
    aten: str | None = None
    onednn: str | None = None


OLD = "every x86-64 processor, without AVX"
MIDDLE = "Intel since Haswell, AMD Zen 1 to 3: AVX2"
OWN = "this processor's own"
SETS = [
    Kernels("sse41-1", OLDEST, 1, OLD, "DEFAULT", "sse41"),
    Kernels("avx2-2", AVX2, 2, MIDDLE, "AVX2", "avx2"),
    Kernels("sse41-2", OLDEST, 2, OLD, "DEFAULT", "sse41"),
    Kernels("avx2-1", AVX2, 1, MIDDLE, "AVX2", "avx2"),
    Kernels("own-1", {}, 1, OWN),
    Kernels("own-2", {}, 2, OWN),
]
SHORT = 2  # the first sets; `make test` itself runs the own kernels


def environment(kernels: Kernels) -> dict[str, str]:
    """Return the variables of a process that runs these kernels."""
    others = {name: value for name, value in os.environ.items() if name not in CHOICES}
    # Threads that wait for long in turning keep others from a busy core.
    threads = {"OMP_NUM_THREADS": str(kernels.threads), "GOMP_SPINCOUNT": "1000"}
    return others | kernels.variables | threads


def in_effect(kernels: Kernels) -> tuple[str, str, str, str]:
    """Return what a process of this set really runs: PyTorch, threads, MKL's mode, oneDNN."""
    said = subprocess.run(
        [sys.executable, "-c", PROBE],
        env=environment(kernels),
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    def found(pattern: str) -> str:
        match = re.search(pattern, said)
        return match[1] if match else "none"

    convolution = r"exec,cpu,convolution,(?:jit:|brgconv:|brg_conv_fwd:)?(\w+)"
    return (
        *(found(r"ATEN (\w+)"), found(r"THREADS (\d+)")),
        *(found(r"CNR:(\w+)"), found(convolution)),
    )


def available(kernels: Kernels, there: tuple[str, str, str, str]) -> bool:
    """Say whether the set that was asked for is the one that runs."""
    aten, threads, _, onednn = there
    return (
        kernels.aten in (None, aten)
        and threads == str(kernels.threads)
        and kernels.onednn in (None, onednn)
    )


def run(kernels: Kernels, short: bool, arguments: list[str]) -> tuple[int, str]:
    """Run the tests under one set; return pytest's exit status and its last line."""
    workers = os.cpu_count() or 1
    paths = [f"--ignore={ROOT / 'tests' / name}" for name in ELSEWHERE]
    chosen = ["-m", "rounding"] if short else []
    command = [sys.executable, "-m", "pytest", "-n", str(workers), "--dist", "loadfile"]
    process = subprocess.Popen(
        [*command, "-rfE", *chosen, *paths, *arguments],
        env=environment(kernels),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    last = ""
    assert process.stdout is not None
    for line in process.stdout:
        print(line, end="", flush=True)
        last = line.strip() or last
    return process.wait(), last.strip("= ")


def main() -> int:
    """Run the sets one after the other and print what each came to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help="tests marked `rounding`, two sets")
    parser.add_argument("--only", nargs="*", choices=[kernels.name for kernels in SETS])
    asked, others = parser.parse_known_args()  # pytest is given the others
    chosen = [kernels for kernels in SETS if not asked.only or kernels.name in asked.only]
    rows, failed, seen = [], False, dict[tuple[str, str, str, str], str]()
    for kernels in chosen[: SHORT if asked.short else None]:
        there = in_effect(kernels)
        if not available(kernels, there):
            outcome = "not on this processor"
        elif there in seen:
            outcome = f"the same as {seen[there]}"
        else:
            seen[there] = kernels.name
            print(f"\n{kernels.name}: {kernels.hardware}", flush=True)
            start = time.monotonic()
            status, outcome = run(kernels, asked.short, others)
            failed |= status != 0
            outcome = f"{outcome}; {time.monotonic() - start:.0f} s with collection"
        rows.append((kernels.name, kernels.hardware, *there, outcome))
    print("\n| set | hardware | PyTorch | threads | MKL | oneDNN | outcome |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for row in rows:
        print(f"| {' | '.join(row)} |")
    return 1 if failed or not seen else 0


if __name__ == "__main__":
    sys.exit(main())
