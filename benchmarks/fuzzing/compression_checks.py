"""What is asked of a compression: units removed, the module, the report, the folder."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor, nn

import frivolous as fv
from frivolous.compression.pruner import Pruner
from frivolous.errors import FrivolousError
from fuzzing.case import Case, Wrong, changed_labels
from fuzzing.given import some_of
from fuzzing.masked import Place, masked
from fuzzing.site_checks import BATCHES

REMOVING = ("random", "magnitude")
"""Methods that only remove: what they give back is the network with units masked."""
FITTING = ("joint", "joint", "refactor", "prune", "interpolative", "frame-potential")
"""Methods that fit what reads the units left: what they give back is the network of no mask."""
SHARES = [
    {"parameters": 0.8},
    {"units": 0.6},
    {"flops": 0.8},
    {"tolerance": 0.5},
    {"tolerance": 0},
]
LAYERS = (
    *(nn.Linear, nn.Bilinear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d),
    *(nn.ConvTranspose2d, nn.ConvTranspose3d, nn.Embedding, nn.EmbeddingBag),
    *(nn.RNNBase, nn.RNNCellBase),
)


def compressed(case: Case, network: Any) -> Any:
    """Compress by a budget drawn at random; drawn again where the budget cannot be had."""
    rng, last = case.rng, None
    method = rng.choice(REMOVING if rng.random() < 0.75 else FITTING)
    keep = _keep(case, network)
    options: dict[str, Any] = {"finetune": 1} if rng.random() < 0.05 else {}
    for _ in range(6):
        share = not keep or rng.random() < 0.1
        budget: dict[str, Any] = dict(rng.choice(SHARES)) if share else {"keep": dict(keep)}
        case.found.method = ", ".join([method, *budget, *options])
        try:
            return fv.compress(
                *(case.model, case.data.data),
                output=case.net.output,
                method=method,
                seed=case.net.seed,
                batch_size=rng.choice([16, 256]),
                **budget,
                **options,
            )
        except FrivolousError as error:
            last = error
            named = re.match(r"`keep` (?:names|has .* units for) '([^']*)'", str(error))
            if named:
                keep.pop(named[1], None)
            elif not re.match(AGAIN, str(error)):
                raise
    assert last is not None
    raise last


AGAIN = r"`(parameters|flops|units|latency)` is|.* held-out examples cannot"
"""How refusals begin that are about the budget, not about the network."""


def _keep(case: Case, network: Any) -> dict[str, int]:
    """Numbers of units for some of the sites that may be cut: any, not every second one."""
    rng = case.rng
    pruner = Pruner(case.inner, network, case.net.output)
    cuts = [cut for cut in pruner.cuts if cut.units > 1]
    chosen = [cut for cut in cuts if rng.random() < 0.7] or cuts
    return {cut.name: rng.randint(1, cut.units - 1) for cut in chosen}


def removed(case: Case, thin: Any, network: Any, places: dict[str, list[Place]]) -> None:
    """What is given back is the plain network with the units that went masked."""
    masks: dict[Place, Tensor] = {}
    unknown = []
    for site in network.sites:
        kept = torch.as_tensor(thin.kept.get(site.name, range(site.width)), dtype=torch.long)
        if len(kept) == site.width:
            continue
        if site.name not in places or not _alike(site.name, thin.kept, places):
            unknown.append(site.name)
            continue
        own = places[site.name]
        # Sites of the same numbers cannot be told apart: what all lose is masked wherever it is.
        alone = not any(
            set(own) & set(other) for name, other in places.items() if name != site.name
        )
        for place in own[:1] if alone else own:
            masks[place] = torch.zeros(site.width).index_fill(0, kept, 1.0)
    plain = case.found.method.startswith(REMOVING) and "finetune" not in case.found.method
    case.found.removed = (
        "not checked" if unknown else "nothing went" if not masks else "checked" if plain
        else "fitted"
    )  # fmt: skip
    if not unknown and (plain or not masks):
        ours = case.scores(thin.model.eval(), case.inputs)
        theirs = masked(case.plain_scores, masks)
        if masks or plain:
            case.same(ours, theirs, "units removed against units masked")


def _alike(name: str, kept: Any, places: dict[str, list[Place]]) -> bool:
    """Whether all sites of the same numbers as this one lose the same units."""
    others = [n for n, found in places.items() if set(found) & set(places[name])]
    return len({tuple(kept.get(other, ())) for other in others}) == 1


def returned(case: Case, thin: Any) -> None:
    """The module that is given back: its class and names, its mode, batches of 1, 3 and 5."""
    inner = case.inner
    if [m.training for m in thin.model.modules()] != [m.training for m in inner.modules()]:
        raise Wrong("the thinner module is in another mode than the original")
    module = thin.model.eval()
    whole = case.scores(module, case.inputs)
    for size in BATCHES:
        ours = case.scores(module, some_of(case.inputs, 0, size))
        case.same(ours, whole[:size], f"thinner module, batch of {size}")
    # A response normalisation is exchanged for one in which units keep their neighbours.
    norms = {n for n, m in inner.named_modules() if isinstance(m, nn.LocalResponseNorm)}
    kinds = [
        {(n, type(m).__qualname__) for n, m in q.named_modules() if n not in norms}
        for q in (inner, module)
    ]
    if kinds[0] != kinds[1]:
        raise Wrong(f"classes differ: {sorted(kinds[0] ^ kinds[1])[:4]}")
    bands = {f"{name}.band" for name in norms}
    names = [set(q.state_dict()) - bands for q in (inner, module)]
    if names[0] != names[1]:
        raise Wrong(f"names of the state differ: {sorted(names[0] ^ names[1])[:4]}")
    if case.found.method.endswith("tolerance") and not thin.report.facts["amount"]:
        _exact(case, module)


def _exact(case: Case, module: nn.Module) -> None:
    after, before = (case.scores(q, case.data.inputs) for q in (module, case.plain))
    apart, size = float((after - before).abs().max()), float(before.abs().max())
    if not apart <= max(1e-4, case.rounding) * max(size, 1.0):
        raise Wrong(f"tolerance 0: scores {apart:.3g} apart of {size:.3g}")


def told(case: Case, thin: Any, network: Any) -> None:
    """The report names every layer, and its counts are those of a plain count."""
    text = str(thin.report)
    writers = {w for site in network.sites if site.name in text for w in site.writers}
    missing = [
        name
        for name, module in case.inner.named_modules()
        if isinstance(module, LAYERS)
        and name.partition(".")[0] not in case.net.heads
        and f"{name}.weight" not in writers
        and not re.search(rf"{re.escape(name)}\b", text)
        and not _added(name, case.net.source)
    ]
    _sizes(case, thin)
    _labels(case, thin)
    if missing:
        raise Wrong(f"the report does not name {', '.join(missing[:4])}")


def _added(name: str, source: str) -> bool:
    """Whether a layer is never called, but its weight is added to something."""
    own = f"self.{name.rpartition('.')[2]}"
    return f"{own}(" not in source and f"{own}.weight" in source


def _sizes(case: Case, thin: Any) -> None:
    whole, sites = thin.report.whole, thin.report.sites.set_index("site")
    row = whole[whole.quantity == "parameters"].iloc[0]
    counts = [sum(p.numel() for p in q.parameters()) for q in (case.inner, thin.model)]
    if [row.before, row.after] != counts:
        raise Wrong(f"parameters: the report has {row.before:g}, {row.after:g}, not {counts}")
    budget = thin.report.facts["budget"]
    if budget == "parameters" and counts[1] > thin.report.facts["amount"] * counts[0]:
        raise Wrong(f"parameters: {counts[1]} of {counts[0]} are more than were allowed")
    for name, kept in thin.kept.items():
        if name in sites.index and sites.after[name] != len(kept):
            raise Wrong(f"'{name}': the report has {sites.after[name]} units, {len(kept)} are kept")


def _labels(case: Case, thin: Any) -> None:
    facts, module = thin.report.facts, thin.model.eval()
    before = case.scores(case.plain, case.data.inputs)
    after = case.scores(module, case.data.inputs)
    changed = changed_labels(before, after)
    loose = max(case.unsure(before), case.unsure(after)) + 0.01
    others = case.data.examples - int(facts["held_out"])
    if not changed - others - loose <= facts["changed"] <= changed + loose:
        raise Wrong(
            f"the report says {facts['changed']} of {facts['held_out']} labels changed; of all "
            f"{case.data.examples} there are {changed:g}"
        )


def saved(case: Case, thin: Any) -> None:
    """Write what a fresh process will load."""
    assert case.folder is not None
    folder = case.folder / str(case.net.seed)
    thin.save(folder / "thin")
    scores = case.scores(thin.model.eval(), case.inputs)
    torch.save({"inputs": case.inputs, "scores": scores}, folder / "scores.pt")
    case.found.folder = str(folder)
