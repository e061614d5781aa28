"""Why a model could not be traced: the line, the reason and the remedy, in one line of text."""

from __future__ import annotations

import linecache
import re
import sysconfig
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from frivolous.errors import NotTraceable, one_line
from frivolous.network.module.fixed_sizes import lengths_before, lengths_in
from frivolous.network.program import Program, Step, execute

if TYPE_CHECKING:
    from frivolous.network.network import Network

#: What an export's message contains -> the reason and the remedy.
REASONS = {
    "data-dependent": (
        "the computation depends on the numbers in a tensor (an `if`, a `.item()` or a size)",
        "Choose with `torch.where`, or take the decision outside `forward`",
    ),
    "output type": (
        "the model returns something that is no tensor",
        "Wrap it in a module whose forward returns its scores, one tensor",
    ),
}
OTHERWISE = (
    "Check that `model(example_inputs)` runs in evaluation mode; if it does, write that line with "
    "tensor operations that torch.export can follow"
)
#: Directories whose frames are not the model's own lines.
_FOREIGN = tuple(
    str(path)
    for path in (
        Path(torch.__file__).parent,
        Path(sysconfig.get_paths()["stdlib"]),
        Path(__file__).parent,
    )
)


def explain(error: BaseException, model: nn.Module) -> str:
    """Say in one line what stopped an export."""
    text = " ".join(str(error).split())
    line = ""
    seen: BaseException | None = error
    while seen is not None and not line:
        line = _last_line(traceback.extract_tb(seen.__traceback__))
        seen = seen.__cause__ or seen.__context__
    first = one_line(re.split(r"(?<=[.!?])\s", text)[0])
    reason, remedy = f"{type(error).__name__}: {first}", OTHERWISE
    for mark, known in REASONS.items():
        if mark in text:
            reason, remedy = known
            break
    where = f" at {line}" if line else ""
    return f"`model` ({type(model).__name__}) cannot be read{where}: {reason}. {remedy}."


def explain_fixed_batch(network: Network, parts: tuple[Tensor, ...], model: nn.Module) -> str:
    """Say in one line what fixes the batch size of a model that works for one size only.

    The first ``len(x)`` or the like before the operation that fixes it, else that operation.
    """
    step = _fixing_step(network, parts)
    what, where = ("an operation", "") if step is None else (f"'{step.op}'", at(step))
    remedy = (
        "Take the size from the input, e.g. `x.flatten(1)` or `x.view(x.shape[0], -1)`, and do "
        "not loop over the examples"
    )
    numbers = lengths_in(model) if step is None else lengths_before(_own_frames(step))
    if (number := next(numbers, None)) is not None:
        line = linecache.getline(number.file, number.line)
        what, where = f"`{number.text}`", f" at {_place(number.file, number.line, line)}"
        remedy = f"Write `{number.instead}` in place of `{number.text}`, which is a plain number"
    return (
        f"the batch size is fixed at {parts[0].shape[0]} by {what}{where}; a network must take "
        f"batches of any size. {remedy}."
    )


def check_settled(program: Program) -> None:
    """Raise for a model that draws random numbers in evaluation mode."""
    for step in program.steps:
        tags = getattr(step.target, "tags", ())
        if torch.Tag.nondeterministic_seeded in tags and not _switched_off(step):
            raise NotTraceable(
                f"the model draws random numbers in evaluation mode ('{step.op}'{at(step)}); its "
                f"labels would not be its own. Switch them off there, e.g. "
                f"`F.dropout(x, training=self.training)`."
            )


def check_examples_apart(program: Program) -> None:
    """Raise where one example's output depends on the others in its batch."""
    for step in program.steps:
        if step.operation.kind != "batch_norm":
            continue
        source = step.needs[0]
        flags = [arg for arg in step.args if isinstance(arg, bool)]
        shape = program.shapes.get(source, (1,))
        if any(flags[:1]) and not isinstance(shape[0], int):
            raise NotTraceable(
                f"batch normalisation of '{step.module}' uses the statistics of the batch in "
                f"evaluation mode, so that one example changes the labels of others. Give it "
                f"running statistics (`track_running_stats=True`)."
            )


def _switched_off(step: Step) -> bool:
    given = step.arguments()
    return any(given.get(name) is False for name in ("train", "training")) or any(
        given.get(name) == 0.0 for name in ("p", "dropout_p")
    )


def _fixing_step(network: Network, parts: tuple[Tensor, ...]) -> Step | None:
    """The first step whose value does not grow with the batch."""
    program, size = network.program, int(parts[0].shape[0])
    values = {
        index: torch.cat([part, part[:1]]).detach()
        for index, part in zip(program.inputs, parts, strict=True)
    }
    fed = program.fed()
    values |= program.known(network.state, size + 1)
    with torch.no_grad():
        for step in program.steps:
            plan = program.plan([step], [*values, step.index])
            try:
                value = execute(plan, values, {})[step.index]
            except (RuntimeError, IndexError, TypeError):
                return step
            if step.index not in fed:
                continue
            before = program.shapes.get(step.index)
            if isinstance(value, list | tuple) and not before:
                if len(value) == size + 1 and step.op in {"unbind", "split", "chunk"}:
                    return step
            elif before and before[0] * (size + 1) != int(value.shape[0]) * size:
                return step
    return None


def _last_line(frames: traceback.StackSummary) -> str:
    own = [frame for frame in frames if not _foreign(frame.filename)]
    return _place(own[-1].filename, own[-1].lineno or 0, own[-1].line or "") if own else ""


def _own_line(step: Step) -> str:
    """The model's line in a step's recorded stack, which ends at the operation itself."""
    own = _own_frames(step)
    if not own:
        return ""
    return _place(*own[-1], linecache.getline(*own[-1]).strip())


def _own_frames(step: Step) -> list[tuple[str, int]]:
    """The model's lines in a step's recorded stack, outermost first."""
    frames = re.findall(r'File "([^"]+)", line (\d+)', step.line)
    return [(name, int(number)) for name, number in frames if not _foreign(name)]


def at(step: Step) -> str:
    """Where in the model's source a step is: ' at file:line (`text`)', '' if that is not known."""
    line = _own_line(step)
    return f" at {line}" if line else ""


def _foreign(filename: str) -> bool:
    return filename.startswith(("<", *_FOREIGN))


def _place(filename: str, number: int, text: str) -> str:
    return f"{Path(filename).name}:{number} (`{text.strip()}`)"
