"""What a person may get wrong on the command line: one line with argument, path, reason, remedy."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from frivolous import files
from frivolous.cli import measure, verbs
from frivolous.cli.system_errors import describe_error
from frivolous.studies import STUDIES, Study
from saying import Say, sayer

INSTEAD = (
    " Or run it at scale cpu: a small version on handwritten digits that come with the package."
)
NONE_NAMED = {
    "CIFAR-10": (
        "`folder` (--data-dir) must say where CIFAR-10 is, or FRIVOLOUS_DATA must; got none. To "
        "fetch it run `frivolous fetch cifar10 --data-dir DIR`, or pass download=True."
    ),
    "ImageNet": (
        "`folder` (--data-dir) must say where ImageNet is, or FRIVOLOUS_DATA must; got none. It "
        "needs an account at image-net.org; name the folder of your copy."
    ),
}
NO_CIFAR = "`folder` (--data-dir) {} holds no CIFAR-10: looked there and one level below for"
WRONG = {
    ("CIFAR-10", "none"): "`folder` (--data-dir) {} does not exist; name the folder that holds",
    ("CIFAR-10", "empty"): NO_CIFAR,
    ("CIFAR-10", "file"): NO_CIFAR,
    ("ImageNet", "none"): "`folder` (--data-dir) {} does not exist; name the folder of ImageNet.",
    ("ImageNet", "empty"): "`folder` (--data-dir) {} holds neither train/<class>/*.JPEG with",
    ("ImageNet", "file"): "`folder` (--data-dir) {} is a file; name the folder of ImageNet.",
}
SOURCES = {"cifar10": "CIFAR-10", "imagenet": "ImageNet"}
REFUSALS = {
    errno.ENOSPC: "Free some space there and run again; what is finished is kept.",
    errno.EDQUOT: "Free some space there and run again; what is finished is kept.",
    errno.EACCES: "Choose a store that you can write to, or mend the rights.",
    errno.EROFS: "Choose a store that you can write to, or mend the rights.",
    errno.EMFILE: "Raise the limit of open files (ulimit -n) and run again.",
    errno.EIO: "Mend that and run again; what is finished is kept.",
}
MODULE = """
import torch
from torch import nn

model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
inputs = torch.randn(40, 4, generator=torch.Generator().manual_seed(0))


class Photographs(torch.utils.data.Dataset):
    def __len__(self):
        return 40

    def __getitem__(self, index):
        if index > 20:
            open("lost.png")
        return inputs[index], 0


photographs = torch.utils.data.DataLoader(Photographs(), batch_size=8)
"""


@pytest.fixture
def say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Say:
    """Run a command in an empty folder beside a file, without any data."""
    monkeypatch.delenv("FRIVOLOUS_DATA", raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("mine")
    (tmp_path / "empty").mkdir()
    (tmp_path / "mine.py").write_text(MODULE)
    return sayer(monkeypatch, capfd)


def source(study: Study) -> str:
    """Return what data a study reads first at the paper's scale, "" for none from disk."""
    names = [getattr(cell.prototype.data, "name", "") for cell in study.cells("paper")]  # type: ignore[attr-defined]
    return next((SOURCES[name] for name in names if name in SOURCES), "")


NEEDY = [name for name, study in STUDIES.items() if source(study)]


def refusing(code: int) -> Callable[..., Any]:
    """Return a function that fails as a call of the operating system does."""

    def refuse(*_: object, **__: object) -> Any:
        raise OSError(code, os.strerror(code))

    return refuse


# ---- data that are not there


def test_there_are_studies_of_both_data_sets() -> None:
    assert {source(STUDIES[name]) for name in NEEDY} == set(SOURCES.values())
    assert len(NEEDY) > 40


@pytest.mark.parametrize("name", NEEDY)
def test_every_study_without_its_data_is_refused_in_one_line(name: str, say: Say) -> None:
    data = source(STUDIES[name])
    words = ("run", name, "--scale", "paper", "--store", "store")
    assert say(*words).only == NONE_NAMED[data] + INSTEAD
    for place in ("none", "empty", "file"):
        line = say(*words, "--data-dir", place).only
        assert line.startswith(WRONG[data, place].format(place))
        assert line.endswith(INSTEAD)
    assert not Path("store").exists()


def test_imagenet_may_be_named_by_the_environment(
    say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRIVOLOUS_DATA", "empty")
    line = say("run", "fig1a", "--scale", "paper").only
    assert line.startswith(WRONG["ImageNet", "empty"].format("empty"))


@pytest.mark.parametrize("name", ["fig1a", "fig4c"])
def test_data_that_may_not_be_read_are_said_so(
    name: str, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("empty/train").mkdir()

    def refuse(self: Path) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "iterdir", refuse)
    line = say("run", name, "--scale", "paper", "--data-dir", "empty").only
    assert re.match(
        r"`folder` \(--data-dir\): empty(/train)? cannot be read \(Permission denied\); mend its "
        r"rights, or name a folder that can be read\. ",
        line,
    )


def test_several_processes_without_data_are_refused_in_one_line(tmp_path: Path) -> None:
    words = ["run", "fig1a", "--scale", "paper", "--workers", "2", "--store", "store"]
    environment = {key: value for key, value in os.environ.items() if key != "FRIVOLOUS_DATA"}
    done = subprocess.run(
        [sys.executable, "-m", "frivolous", *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=environment,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"frivolous: {NONE_NAMED['ImageNet']}{INSTEAD}\n"


# ---- stores that cannot be written


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_at_every_scale_refuses_a_store_that_cannot_be(name: str, say: Say) -> None:
    for scale in ("paper", "cpu"):
        words = ("run", name, "--scale", scale, "--store")
        assert say(*words, "file").only == (
            "cannot open store file: it is a file. A store is a folder: name another path, or move "
            "that file away."
        )
        assert say(*words, "file/store").only == (
            "cannot open store file/store: Not a directory. A store is a folder: name another "
            "path, or move that file away."
        )
        if scale == "cpu" or name not in NEEDY:
            assert say(*words, "/proc/store").only == (
                "cannot make store /proc/store: No such file or directory. Name another path for "
                "the store."
            )
    assert Path("file").read_text() == "mine"


@pytest.mark.parametrize("code", REFUSALS)
@pytest.mark.parametrize("name", ["fig1a", "fig4d", "figE1"])
def test_what_the_disk_refuses_is_said_before_anything_is_trained(
    name: str, code: int, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "write", refusing(code))
    line = say("run", name, "--store", "store").only
    assert line == f"cannot write store/store.json: {os.strerror(code)}. {REFUSALS[code]}"


def test_a_disk_that_refuses_ends_all_studies_at_once(
    say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "write", refusing(errno.ENOSPC))
    said = say("run", "all")
    assert said.code == 2
    assert said.line.startswith("cannot write runs/store.json: No space left on device. Free some")
    assert said.err.count("note: ") == 1, "the scale; not the same fault for every study"


@pytest.mark.parametrize("name", ["fig1a", "figE9"])
@pytest.mark.parametrize("verb", ["report", "status"])
def test_reading_a_store_that_is_none_makes_nothing(verb: str, name: str, say: Say) -> None:
    assert say(verb, name, "--store", "file").only.startswith("cannot open store file: it is a")
    said = say(verb, name, "--store", "none")
    assert said.code == (2 if verb == "report" else 0)
    assert not Path("none").exists()


# ---- a user's own network


@pytest.mark.parametrize("verb", ["measure", "compress"])
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--out", "file"], "`out` file cannot be written (File exists); name a folder that can."),
        (
            ["--out", "file/below"],
            "`out` file/below cannot be written (Not a directory); name a folder that can.",
        ),
        (
            ["--out", "/proc/below"],
            (
                "`out` /proc/below cannot be written (No such file or directory); name a folder "
                "that can."
            ),
        ),
        (
            ["--out", "o", "--weights", "none"],
            "`weights` names none, which is not there; name a safetensors file.",
        ),
        (
            ["--out", "o", "--weights", "empty"],
            "`weights` names empty, which is a folder; name a safetensors file.",
        ),
        (
            ["--out", "o", "--weights", "file"],
            (
                "`weights` file is no safetensors file (Error while deserializing header: header "
                "too small); save the model with safetensors.torch.save_model."
            ),
        ),
        (
            ["--out", "o", "--weights", "w" * 300],
            (
                f"`weights`: {'w' * 300} cannot be read or written (File name too long). Name "
                "another path."
            ),
        ),
        (
            ["--out", "o", "--data", f"{'d' * 300}.py:x"],
            (
                f"`data` names the file {'d' * 300}.py, which cannot be read (File name too long). "
                "Mend its rights, or name another file."
            ),
        ),
        (
            ["--out", "o", "--device", "abacus"],
            "`device` abacus is not available on this machine; it has cpu.",
        ),
        (
            ["--out", "o", "--batch-size", "0"],
            "`batch_size` is a whole number of at least 1; got 0. Pass e.g. 256.",
        ),
    ],
)
def test_what_a_verb_of_ones_own_network_is_given_wrong(
    verb: str, words: list[str], message: str, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    given = ["mine.py:model", *(() if "--data" in words else ("--data", "mine.py:inputs"))]
    assert say(verb, *given, *words).only == message


@pytest.mark.parametrize("verb", ["measure", "compress"])
def test_data_that_fail_while_they_are_read_are_placed_in_the_users_file(
    verb: str, say: Say, tmp_path: Path
) -> None:
    said = say(verb, "mine.py:model", "--data", "mine.py:photographs", "--out", "o")
    assert said.only == (
        f"{tmp_path / 'mine.py'}, line 15, in __getitem__: FileNotFoundError: [Errno 2] No such "
        "file or directory: 'lost.png'. Correct the file; `model` or `data` comes from it."
    )


def test_a_fault_of_the_library_is_not_blamed_on_the_user(
    say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> Any:
        raise RuntimeError("a bug")

    monkeypatch.setattr(measure, "measure_model", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        say("measure", "mine.py:model", "--data", "mine.py:inputs")


def test_a_measurement_that_cannot_be_written_is_printed(
    say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "save", refusing(errno.ENOSPC))
    said = say("measure", "mine.py:model", "--data", "mine.py:inputs", "--out", "o")
    assert said.code == 2
    assert said.out.startswith("40 examples; ")
    assert said.err == (
        "frivolous: `out` o cannot be written (No space left on device); name a folder that can.\n"
    )


def test_a_thinner_network_that_cannot_be_written_is_reported(
    say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "write", refusing(errno.ENOSPC))
    words = ("mine.py:model", "--data", "mine.py:inputs", "--units", 0.5, "--out", "o")
    said = say("compress", *words)
    assert said.code == 2
    assert said.out.startswith("Compressed (joint, units 0.5)")
    assert said.err.endswith(
        " o cannot be written (No space left on device); name a folder that can.\n"
    )


# ---- fetch


def test_fetch_into_what_is_no_folder(say: Say) -> None:
    for place, reason in (("file", "File exists"), ("/proc/x", "No such file or directory")):
        assert say("fetch", "cifar10", "--data-dir", place).only == (
            f"cannot write {place}/cifar-10-binary.tar.gz.part ({reason}); free space or name "
            "another `folder` (--data-dir)."
        )


# ---- commands and whatever else the system refuses


@pytest.mark.parametrize(
    ("verb", "nearest"),
    [("mesure", "measure"), ("comp", "compress"), ("runs", "run"), ("lst", "list")],
)
def test_an_unknown_command_is_answered_with_the_nearest(verb: str, nearest: str, say: Say) -> None:
    assert say(verb, "mine.py:model").only == (
        f"unknown command '{verb}'; did you mean '{nearest}'? Known: {', '.join(verbs.COMMANDS)}."
    )


@pytest.mark.parametrize("words", [[], ["help"], ["--help"]])
def test_no_command_gives_the_help(words: list[str], say: Say) -> None:
    said = say(*words)
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith("usage: frivolous [-h]")
    assert all(f"• {verb} " in said.out for verb in verbs.COMMANDS)


def test_an_error_that_nobody_foresaw_names_argument_path_reason_and_remedy(
    say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied", "o/table.csv")

    monkeypatch.setattr(measure, "measure_network", refuse)
    words = ("mine.py:model", "--data", "mine.py:inputs", "--out", "o")
    assert say("measure", *words).only == (
        "`out`: o/table.csv cannot be read or written (Permission denied). Mend its rights, or "
        "name another path."
    )


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device", "/data/o/x"),
            (
                "`out`: /data/o/x cannot be read or written (No space left on device). Free some "
                "space there and run again."
            ),
        ),
        (
            FileNotFoundError(errno.ENOENT, "No such file or directory", b"w.safetensors"),
            (
                "`weights`: w.safetensors cannot be read or written (No such file or directory). "
                "Name another path."
            ),
        ),
        (
            IsADirectoryError(errno.EISDIR, "Is a directory", "elsewhere"),
            "elsewhere cannot be read or written (Is a directory). Name another path.",
        ),
        (
            OSError(errno.ENOSPC, "No space left on device"),
            "cannot write: no space left on device; free some and run again",
        ),
        (
            OSError("all of it\nis broken."),
            "cannot read or write (all of it is broken); mend that and run again",
        ),
    ],
)
def test_errors_of_the_system_in_words(error: OSError, line: str) -> None:
    words = ["measure", "m.py:net", "--out=/data/o", "--weights", "w.safetensors", "--json"]
    assert describe_error(error, words) == line
