"""What a GPU gives: one command, under 8 minutes, that needs the checkout and PyTorch alone.

Four parts, each a part of one markdown table: the tests marked ``cuda``; ablation curves and
compression of AlexNet and ResNet-56 at 1x against forward hooks on the same device; images trained
per second against the plain PyTorch loop; counts of the device against those of the CPU. Images are
noise of CIFAR-10's shape, weights are random: nothing is fetched. A part that fails, or that time
has run out for, says so in its line, and the others go on.

    python benchmarks/gpu.py
    python benchmarks/gpu.py --device cpu --small     # a trial within two minutes, without a GPU

Seconds are the wall's, of one run after one that warms up; the device is waited for.
"""

from __future__ import annotations

import argparse
import copy
import importlib.util
import itertools
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "benchmarks")]
NEEDED = ("torch", "numpy", "scipy", "pandas", "pyarrow", "pydantic", "safetensors", "sklearn")
missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
if missing:
    sys.exit(f"gpu.py: {', '.join(missing)} cannot be imported here. Install them first.")

import torch  # noqa: E402
from networks import Subject, alexnet, resnet56  # noqa: E402
from plain_images import plain_loader  # noqa: E402
from torch import Tensor  # noqa: E402

import frivolous as fv  # noqa: E402
from ablation import DRAWS, peer, silenced  # noqa: E402
from frivolous.ablation.curves import ablation_curves  # noqa: E402
from frivolous.compression.result import Compression  # noqa: E402
from frivolous.measurement.measure import Measurement  # noqa: E402
from frivolous.network import trace  # noqa: E402
from training import BATCH, data, endless, ours, plain  # noqa: E402

NETWORKS: dict[str, Callable[[float], Subject]] = {"alexnet": alexnet, "resnet56": resnet56}
Row = tuple[str, str, str]
CHILD = os.environ | {"PYTHONPATH": str(ROOT / "src")}
OUTCOMES = {"skipped": "skipped", "failure": "FAILED", "error": "FAILED"}


@dataclass(frozen=True)
class Sizes:
    """A width, and by network how many examples each part is given."""

    factor: float
    ablated: dict[str, int]
    compressed: dict[str, int]
    compared: dict[str, int]
    updates: int
    seconds: float


FULL = Sizes(
    *(1.0, {"alexnet": 2048, "resnet56": 512}, {"alexnet": 2048, "resnet56": 1024}),
    *({"alexnet": 128, "resnet56": 16}, 40, 440.0),
)
SMALL = Sizes(
    *(0.25, {"alexnet": 32, "resnet56": 4}, {"alexnet": 160, "resnet56": 160}),
    *({"alexnet": 32, "resnet56": 4}, 1, 110.0),
)


def waited(device: torch.device) -> float:
    """The time, once the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def timed(device: torch.device, work: Callable[[], object]) -> tuple[object, float]:
    """What some work returns, and its seconds."""
    start = waited(device)
    found = work()
    return found, waited(device) - start


def on(subject: Subject, device: torch.device) -> Subject:
    """A copy of a subject whose network is on the device."""
    return Subject(copy.deepcopy(subject.net).to(device), subject.shape, subject.places)


def cuda_tests(device: torch.device, sizes: Sizes) -> Iterator[Row]:
    """Every test that is marked ``cuda``, by pytest."""
    if importlib.util.find_spec("pytest") is None:
        yield "tests marked cuda", "not run", "pytest cannot be imported here"
        return
    files = [
        path for path in (ROOT / "tests").rglob("test_*.py") if "mark.cuda" in path.read_text()
    ]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        options = ["-o", "addopts=", "--import-mode=importlib", "-p", "no:cacheprovider", "-q"]
        # Another release of PyTorch may warn of other things than the one that is tested.
        options += ["-W", "default", "--continue-on-collection-errors", f"--junitxml={report}"]
        command = [sys.executable, "-m", "pytest", "-m", "cuda", *options, *map(str, files)]
        done = subprocess.run(
            command, cwd=ROOT, env=CHILD, capture_output=True, text=True, check=False
        )
        if not report.exists():
            yield "tests marked cuda", "not run", done.stderr.strip()[-200:]
            return
        for case in ElementTree.parse(report).iter("testcase"):
            outcome = next((part for part in case if part.tag in OUTCOMES), None)
            word = "passed" if outcome is None else OUTCOMES[outcome.tag]
            why = "" if outcome is None else outcome.get("message", "").split("\n")[0][:150]
            yield case.get("name", ""), word, why or f"{float(case.get('time', 0)):.2f} s"


def against_hooks(device: torch.device, sizes: Sizes) -> Iterator[Row]:
    """Ablation curves of every site and of all together: seconds, and labels that differ."""
    for name, examples in sizes.ablated.items():
        subject = on(NETWORKS[name](sizes.factor), device)
        batches = list(subject.inputs(examples).to(device).split(256))
        network = trace(subject.net, batches[0])

        def curves(network=network, batches=batches) -> dict[str, object]:
            found = ablation_curves(network, batches, draws=DRAWS)
            return {site: curve.unchanged for site, curve in found.items()}

        ablation_curves(network, [batches[0][:4]], draws=1)
        counts, seconds = timed(device, curves)
        expected, hooked = timed(device, lambda s=subject, n=network, b=batches: peer(s, n, b))
        differing = sum(int(abs(counts[site] - expected[site]).sum()) for site in expected)
        asked = sum(found.size for found in expected.values()) * examples
        yield (
            f"ablation of {name}, {examples} images",
            f"{seconds:.2f} s; hooks {hooked:.2f} s; {hooked / seconds:.1f} times",
            f"{differing} of {asked} labels differ",
        )


def measured(device: torch.device, sizes: Sizes) -> Iterator[Row]:
    """Everything that ``fv.measure`` does, on the device and on the CPU: seconds and counts."""
    for name, examples in sizes.compared.items():
        subject = NETWORKS[name](sizes.factor)
        inputs = subject.inputs(examples)
        here, slow = timed(device, lambda s=subject, x=inputs: fv.measure(s.net, x))
        there, fast = timed(device, lambda s=subject, x=inputs: fv.measure(s.net, x, device=device))
        assert isinstance(here, Measurement)
        assert isinstance(there, Measurement)
        curves = (here.curves.unchanged - there.curves.unchanged).abs()
        apart = here.table.value.ne(there.table.value) & here.table.value.notna()
        counted = here.table.measure.isin(["redundant", "effective", "silent", "constant"])
        counts = f"{int((apart & counted).sum())} of {int(counted.sum())} counts"
        yield (
            f"measure {name}, {examples} images",
            f"{fast:.1f} s; CPU {slow:.1f} s",
            f"{counts} differ from the CPU's, curves at most {curves.max():.1g} apart",
        )


def compressed(device: torch.device, sizes: Sizes) -> Iterator[Row]:
    """A thinner network, and one whose units hooks silence: their scores on the device."""
    for name, examples in sizes.compressed.items():
        subject = on(NETWORKS[name](sizes.factor), device)
        inputs = subject.inputs(examples)
        thin, seconds = timed(
            device, lambda s=subject, x=inputs: fv.compress(s.net, x, tolerance=0.05)
        )
        assert isinstance(thin, Compression)
        sizes_of = [sum(p.numel() for p in net.parameters()) for net in (subject.net, thin.model)]
        excised = fv.compress(subject.net, inputs, units=0.5, method="magnitude")
        yield (
            f"compress {name}, {examples} images",
            f"{seconds:.1f} s; {sizes_of[1] / sizes_of[0]:.1%} of parameters left",
            f"removed and silenced by hooks: {apart_from_hooks(subject, excised, inputs, device)}",
        )


@torch.no_grad()
def apart_from_hooks(
    subject: Subject, thin: Compression, inputs: Tensor, device: torch.device
) -> str:
    """How far scores of units removed and of units silenced are apart, beside the largest."""
    batch, masks = inputs[:256].to(device), dict[str, Tensor]()
    whole = trace(subject.net, batch[:2])
    for site in whole.sites:
        if site.name in thin.kept:
            mask = torch.zeros(site.width, device=device)
            mask[torch.as_tensor(thin.kept[site.name], device=device)] = 1
            masks[site.name] = mask.view(-1, *[1] * len(site.positions))
    hooks = [silenced(subject, name, masks) for name in masks]
    expected = subject.net(batch)
    for hook in hooks:
        hook.remove()
    apart = float((thin.model(batch) - expected).abs().max() / expected.abs().max())
    return f"{apart:.0e} of the largest score"


def trained(device: torch.device, sizes: Sizes) -> Iterator[Row]:
    """Images per second of our loop and of the plain one, batches of 128 in float32."""
    images, labels = data()
    for name in sizes.ablated:
        batches = endless(plain_loader(images, labels, name, BATCH, 0))
        loader = plain_loader(images, labels, name, BATCH, 0)
        ready = itertools.cycle(list(itertools.islice(iter(loader), 2)))
        sides = {
            "ours": ours(name, sizes.factor, images, labels, device),
            "plain": plain(name, sizes.factor, batches, device),
            "plain, ready": plain(name, sizes.factor, ready, device),
        }
        speed = {}
        for side, update in sides.items():
            update(1)
            _, seconds = timed(device, lambda update=update: update(sizes.updates))
            speed[side] = sizes.updates * BATCH / seconds
        plainly, prepared = (speed["ours"] / speed[side] for side in list(sides)[1:])
        yield (
            f"training {name}",
            ", ".join(f"{side} {value:.0f}" for side, value in speed.items()) + " images/s",
            f"{plainly:.1f} times the plain loop, {prepared:.1f} one with prepared images",
        )


PARTS = (cuda_tests, against_hooks, trained, measured, compressed)


def rows(device: torch.device, sizes: Sizes) -> Iterator[Row]:
    """All lines, as they are found."""
    end = time.perf_counter() + sizes.seconds
    signal.signal(signal.SIGALRM, _out_of_time)
    for part in PARTS:
        signal.setitimer(signal.ITIMER_REAL, max(0.01, end - time.perf_counter()))
        try:
            yield from part(device, sizes)
        except TimeoutError:
            yield part.__name__, "not done", f"{sizes.seconds:.0f} s had gone by"
        except Exception as error:  # noqa: BLE001  # the line says it and the other parts go on
            yield part.__name__, "FAILED", f"{type(error).__name__}: {str(error)[:300]}"
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)


def _out_of_time(*_: object) -> None:
    raise TimeoutError


def main() -> int:
    """Print the table; 1 where anything failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true", help="sizes for a trial on the CPU")
    asked = parser.parse_args()
    device = torch.device(asked.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        sys.exit("gpu.py: no CUDA device here. Pass --device cpu --small for a trial.")
    torch.manual_seed(0)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    sizes = SMALL if asked.small else FULL
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    print(f"{name}, torch {torch.__version__}, networks at {sizes.factor:g}x\n")
    print("| what | result | equal |\n| --- | --- | --- |")
    failed = False
    start = time.perf_counter()
    for row in rows(device, sizes):
        failed |= row[1] == "FAILED"
        print(f"| {' | '.join(part.replace('|', '/') for part in row)} |", flush=True)
    print(f"\n{time.perf_counter() - start:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
