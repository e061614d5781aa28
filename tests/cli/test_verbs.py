"""The command line of studies: what it prints and writes, and one line for all that goes wrong."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from matplotlib.text import Text

from frivolous import files
from frivolous.store import Store
from frivolous.studies import STUDIES
from frivolous.studies.study import Study
from saying import Said, Say, sayer

Child = Callable[..., subprocess.Popen[str]]
MAIN = "import sys\nfrom frivolous.cli.verbs import main\nsys.argv[0] = 'frivolous'\nmain()\n"
HEAVY = ("torch", "numpy", "scipy", "pandas", "matplotlib", "sklearn", "pyarrow", "pydantic")
pytestmark = pytest.mark.usefixtures("tiny")


@pytest.fixture
def say(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Say:
    """Run a command in this process."""
    return sayer(monkeypatch, capfd)


@pytest.fixture(scope="module")
def finished(tiny: Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which the study is finished; tests leave it as it is."""
    return tiny.run(tmp_path_factory.mktemp("cli") / "store", scale="cpu").store.path


CPU = ("--scale", "cpu", "--store")
INSTEAD = (
    "Or run it at scale cpu: a small version on handwritten digits that come with the package."
)


# ---- what it does


@pytest.mark.parametrize("words", [[], ["run"], ["measure"], ["compress"]])
def test_help_loads_nothing_heavy(words: list[str]) -> None:
    script = (
        "import sys\nfrom frivolous.cli import main\n"
        f"sys.argv = ['frivolous', *{words!r}, '--help']\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
    assert done.stdout.startswith("usage: frivolous")
    assert done.stderr == ""


def test_the_module_runs_as_the_command_does() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "frivolous", "--help"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("usage: frivolous")


def test_list_names_every_study_with_claim_and_cost(say: Say) -> None:
    said = say("list")
    lines = said.out.splitlines()
    assert said.code == 0
    assert [line.split(":")[0] for line in lines if not line.startswith(" ")] == list(STUDIES)
    first = lines.index(
        "fig4d: Dense networks on synthetic data: input dimension and initialisation"
    )
    assert lines[first + 1 : first + 4] == [
        "  claim: Prunable and redundant units more than double when the network's width doubles.",
        "  paper: 300 networks, about 2 minutes on two cores; taken where no scale is named",
        f"  cpu: {STUDIES['fig4d'].networks('cpu')} networks, about 10 seconds on two cores",
    ]


def test_status_and_report_before_a_run_make_nothing(say: Say, tmp_path: Path) -> None:
    store = tmp_path / "store"
    said = say("status", "figE7", *CPU, store)
    assert (said.code, said.out) == (
        0,
        f"figE7, scale cpu, seed 0, store {store}: 0 of 24 networks done, 0 under way, 24 to do\n",
    )
    said = say("report", "figE7", *CPU, store, "--replicates", 3)
    assert said.code == 2
    assert said.line == (
        f"store {store} lacks 36 of the networks of figE7 at scale cpu, seed 0; make them with: "
        f"frivolous run figE7 --scale cpu --seed 0 --replicates 3 --store {store}"
    )
    assert not store.exists()


def test_run_prints_table_gains_and_the_paths_that_it_wrote(
    say: Say,
    finished: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(finished.parent)
    store = Path("store")
    said = say("run", "figE7", *CPU, store)
    assert said.code == 0
    table, scale, gains, *rest = said.out.strip().split("\n\n")
    assert rest == []
    head, columns, *rows = table.splitlines()
    assert head.startswith("figE7, scale cpu: mean ± SD over 2 replicates; ")
    titles = "curve size factor test accuracy prunable redundant"
    assert columns.split() == titles.split()
    assert [row.split()[:2] for row in rows] == [
        [curve, size] for curve in ("1e-2", "1") for size in ("1", "2", "4")
    ]
    assert scale == "scale cpu: 4 hidden units for 128"
    lines = gains.splitlines()
    assert re.fullmatch(
        r"panel b, prunable: gain per doubling (\d\.\d\d \[\d\.\d\d, \d\.\d\d\])( to )(?1)".replace(
            "(?1)", r"\d\.\d\d \[\d\.\d\d, \d\.\d\d\]"
        )
        + r"; published 2\.01 to 2\.14",
        lines[0],
    )
    folder = store / "studies" / "figE7-cpu"
    tables = ("table.csv", "gains.csv", "runs.json")
    names = ("figE7.png", "figE7.svg", "figE7-beside.png", *tables, "report.html")
    paths = [folder / name for name in names]
    assert lines[2:] == [str(path) for path in paths]
    least = {"gains.csv": 100}  # a line per curve
    assert all(path.stat().st_size > least.get(path.name, 1000) for path in paths)


class Loads(HTMLParser):
    """What a browser would fetch for a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = re.findall(r"(?:@import|url\()[^;)]*", text)
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = {"src", "srcset", "data", "poster", "background"}
        names |= {"href", "xlink:href"} if tag != "a" else set()
        self.found += [value or "" for name, value in attrs if name in names]

    handle_startendtag = handle_starttag


def test_the_report_loads_nothing_and_names_its_command(say: Say, finished: Path) -> None:
    said = say("report", "figE7", *CPU, finished)
    folder = finished / "studies" / "figE7-cpu"
    page = folder / "report.html"
    assert said.out.splitlines() == [str(folder / f"figE7.{kind}") for kind in ("png", "svg")] + [
        *(str(folder / name) for name in ("figE7-beside.png", "table.csv", "gains.csv")),
        str(folder / "runs.json"),
        str(page),
    ]
    text = page.read_text()
    assert Loads('<img src="http://x"><style>a{b:url(http://y)}</style>').found == [
        "url(http://y",
        "http://x",
    ]
    outside = [load for load in Loads(text).found if not re.match(r"(url\([\"']?)?(#|data:)", load)]
    assert outside == []
    assert f"frivolous run figE7 --scale cpu --seed 0 --store {finished}" in text
    assert "Scale cpu: 4 hidden units for 128." in text


def test_other_seeds_have_folders_of_their_own(say: Say, tmp_path: Path) -> None:
    said = say("run", "figE7", *CPU, tmp_path, "--seed", 3, "--replicates", 1)
    assert said.code == 0
    assert said.out.startswith("figE7, scale cpu: one replicate; prunable and ")
    assert "(one replicate: no interval)" in said.out
    page = tmp_path / "studies" / "figE7-cpu-seed3" / "report.html"
    assert said.out.splitlines()[-1] == str(page)
    command = f"frivolous run figE7 --scale cpu --seed 3 --replicates 1 --store {tmp_path}"
    assert command in page.read_text()


def test_fig4d_at_cpu_scale_says_that_it_is_shrunk(tmp_path: Path) -> None:
    from dataclasses import replace

    from frivolous.studies.report import report_html
    from frivolous.text.study import study_text

    study = replace(STUDIES["fig4d"], size_factors=(1.0, 2.0))
    result = study.run(tmp_path, scale="cpu", replicates=1)
    assert study_text(result).startswith("fig4d, scale cpu: ")
    assert study_text(result).endswith("scale cpu: 4 hidden units for 128")
    assert "Scale cpu: 4 hidden units for 128." in report_html(result)
    words = " ".join(text.get_text() for text in result.figure().findobj(Text))
    assert "(scale cpu: not the paper's size)" in " ".join(words.split())


def test_the_real_cpu_scale_says_all_in_which_it_is_smaller() -> None:
    script = "from frivolous.studies import SCALES; print(SCALES['cpu'].shrinks)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    for words in (
        "32 for 128",
        "1,500 inputs for 10,000",
        "15 epochs for 50",
        "2 replicates for 3",
    ):
        assert words in done.stdout
    assert done.stdout.strip().endswith("not the paper's experiment")


# ---- what goes wrong


@pytest.mark.parametrize("verb", ["run", "report", "status"])
def test_a_wrong_study_is_answered_with_the_nearest(verb: str, say: Say, tmp_path: Path) -> None:
    said = say(verb, "fig4e", *CPU, tmp_path / "store")
    assert said.code == 2
    assert said.line.startswith("unknown study 'fig4e'; did you mean 'figE4'? Known: fig1a, fig1b")
    assert said.line.endswith(f" and {len(STUDIES) - 30} more.")
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("verb", ["run", "report", "status"])
def test_no_replicates_are_refused(verb: str, say: Say, tmp_path: Path) -> None:
    said = say(verb, "figE7", *CPU, tmp_path / "store", "--replicates", 0)
    assert (said.code, said.line) == (2, "`replicates` must be at least 1; got 0.")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["figE7", "--scale", "cpus"], "invalid choice 'cpus' for argument '--scale'"),
        (["figE7", "--speed", "9"], "Unrecognized options: --speed"),
        (["figE7", "--replicates", "two"], "--replicates"),
        (["figE7", "--weights", "best"], "invalid choice 'best' for argument '--weights'"),
        ([], "STR"),
    ],
)
def test_a_wrong_option_is_named(words: list[str], message: str, say: Say, tmp_path: Path) -> None:
    said = say("run", *words, "--store", tmp_path / "store")
    assert said.code == 2
    # A box may break the sentence.
    assert message in " ".join(re.sub("[│╭╮╰╯─]", " ", said.err).split())
    assert not (tmp_path / "store").exists()


def test_a_missing_device_is_refused_before_anything_is_made(
    say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for device in ("cuda", "tpu"):
        said = say("run", "figE7", *CPU, tmp_path / "store", "--device", device)
        assert said.code == 2
        assert said.line == f"`device` {device} is not available on this machine; it has cpu."
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("verb", ["run", "report", "status"])
def test_a_store_under_a_file_is_refused(verb: str, say: Say, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    said = say(verb, "figE7", *CPU, tmp_path / "file" / "store")
    assert said.code == 2
    assert said.line == (
        f"cannot open store {tmp_path / 'file' / 'store'}: Not a directory. A store is a folder: "
        "name another path, or move that file away."
    )
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("verb", ["run", "report", "status"])
def test_a_store_of_a_newer_format_is_left_alone(verb: str, say: Say, tmp_path: Path) -> None:
    (tmp_path / "store.json").write_text('{"format": 99}')
    said = say(verb, "figE7", *CPU, tmp_path)
    assert said.code == 2
    assert said.line == (
        f"store {tmp_path} has format 99; this version reads up to 1. Install a newer frivolous, "
        "or name another path."
    )
    assert [path.name for path in tmp_path.iterdir()] == ["store.json"]


def test_a_full_disk_is_said_and_what_is_finished_is_kept(
    say: Say, tiny: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, written = files.write, 0

    def write(path: Path, content: bytes) -> None:
        nonlocal written
        written += 1
        if written > 20:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, content)

    monkeypatch.setattr(files, "write", write)
    said = say("run", "figE7", *CPU, tmp_path)
    assert (said.code, said.out) == (2, "")
    assert said.err.splitlines()[-1] == (
        f"frivolous: cannot write a run to {tmp_path}: No space left on device. Free some space "
        "there and run again; what is finished is kept."
    )
    done = len(Store(tmp_path).ids())
    assert 0 < done < 24
    monkeypatch.setattr(files, "write", real)
    status = say("status", "figE7", *CPU, tmp_path)
    assert f"{done} of 24 networks done" in status.out
    assert len(tiny.run(tmp_path, scale="cpu").store.ids()) == 24


@pytest.mark.parametrize(
    ("verb", "same_size"), [("status", False), ("report", False), ("report", True)]
)
def test_a_damaged_run_is_said_by_status_and_report(
    verb: str,
    same_size: bool,
    say: Say,
    tiny: Study,
    finished: Path,
    tmp_path: Path,
) -> None:
    store = tmp_path / "store"
    shutil.copytree(finished, store)
    id = tiny.result(store, scale="cpu").chosen[0].runs[0]
    measures = store / "runs" / id / "measures.parquet"
    content = measures.read_bytes()
    measures.write_bytes(content[:-1] + b"?" if same_size else content[:-1])
    said = say(verb, "figE7", *CPU, store)
    if verb == "status":
        assert (said.code, said.err) == (0, "")
        assert said.out.endswith(
            "23 of 24 networks done, 0 under way, 1 to do, 1 of them corrupt: run makes them "
            "again\n"
        )
        assert measures.exists()
    else:
        assert said.code == 2
        assert said.err.startswith(f"note: run {id} is corrupt (measures.parquet: ")
        assert "Run it once more." in said.line or "make them with: frivolous run" in said.line
        assert not measures.exists()
    if verb == "report":
        assert len(tiny.run(store, scale="cpu").store.notes) == 0
    else:
        again = say("run", "figE7", *CPU, store)
        assert again.code == 0
        assert again.err.startswith(f"note: run {id} is corrupt (measures.parquet: ")
    after = say("status", "figE7", *CPU, store)
    assert after.out.endswith("24 of 24 networks done, 0 under way, 0 to do\n")


# ---- processes


def test_ctrl_c_is_one_line_and_the_same_command_goes_on(
    child: Child, say: Say, tiny: Study, tmp_path: Path
) -> None:
    held = (
        "import sys\nfrom frivolous.studies.runs import train_dense\n"
        "make, calls = train_dense.make, []\n"
        "def held(*args, **options):\n"
        "    calls.append(1)\n"
        "    if len(calls) == 3:\n"
        "        print('here', flush=True)\n"
        "        sys.stdin.readline()\n"
        "    yield from make(*args, **options)\n"
        "train_dense.make = held\n"
    )
    process = child(held + MAIN, "run", "figE7", *CPU, tmp_path)
    assert process.stdout is not None
    assert process.stdout.readline() == "here\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    said = Said(process.returncode, out, err)
    assert (said.code, said.out) == (130, "")
    assert said.err.splitlines()[-1] == (
        "frivolous: stopped; finished networks are kept, the same command goes on"
    )
    assert "8 of 24 networks done, 0 under way, 16" in say("status", "figE7", *CPU, tmp_path).out
    assert len(tiny.run(tmp_path, scale="cpu").store.ids()) == 24


def test_a_reader_that_has_gone_is_no_error_to_tell_of(child: Child) -> None:
    process = child(MAIN, "list")
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    assert process.wait(timeout=120) == 141


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_output_to_a_full_disk_is_one_line(child: Child) -> None:
    with Path("/dev/full").open("w") as full:
        process = child(MAIN, "list", stdout=full)
        _, err = process.communicate(timeout=120)
    said = Said(process.returncode, "", err)
    assert said.code == 2
    assert said.line == "cannot write: no space left on device; free some and run again"


def test_status_sees_what_another_process_is_making(say: Say, tiny: Study, tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.claim(tiny.cells("cpu")[0].search_ids):
        said = say("status", "figE7", *CPU, tmp_path)
    assert "0 of 24 networks done, 4 under way, 20 to do" in said.out
    assert json.loads((tmp_path / "store.json").read_text()) == {"format": 1}
    assert os.listdir(tmp_path / "runs") == []  # noqa: PTH208


def test_fetch_finds_what_is_there_and_names_what_it_cannot_fetch(say: Say, tmp_path: Path) -> None:
    said = say("fetch", "imagenet", "--data-dir", tmp_path)
    assert (said.code, said.out) == (2, "")
    assert said.line.startswith("`name` imagenet cannot be fetched: it needs an account")
    said = say("fetch", "cifar", "--data-dir", tmp_path)
    assert said.line == "unknown data set to fetch 'cifar'; did you mean 'cifar10'? Known: cifar10."


def test_a_study_without_its_data_says_where_to_get_them(say: Say, tmp_path: Path) -> None:
    none = tmp_path / "none"
    words = ("run", "fig4c", "--scale", "paper", "--sizes", "1/4", "--store", tmp_path)
    said = say(*words, "--data-dir", none)
    assert said.code == 2
    assert said.line == (
        f"`folder` (--data-dir) {none} does not exist; name the folder that holds CIFAR-10, or "
        f"fetch it there with `frivolous fetch cifar10 --data-dir {none}`. {INSTEAD}"
    )
    assert say("run", "all", "--curves", "a").line == (
        "`curves` goes with one study, not with all; name the study."
    )
    assert say("run", "fig4c", "--sizes", "x").line == (
        "`sizes` are size factors such as 1/4 or 2; got 'x'. Write a number."
    )
    assert say("run", "figE7", "--workers", 0).line == "`workers` must be at least 1; got 0."


def test_no_epochs_are_refused_and_not_taken_for_all(say: Say, tmp_path: Path) -> None:
    said = say("status", "figE7", *CPU, tmp_path / "store", "--epochs", 0)
    assert (said.code, said.line) == (2, "`epochs` must be at least 1; got 0.")
