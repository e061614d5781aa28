"""Ablation: silence units of a site and count the labels that stay.

The part of the network before a site runs once per batch, the part after it once for a stack of
masks. These counts give ablation curves, bounds on them, and the effect of single units.

- ``masks``: which units are silenced together, and what replaces them
- ``batched``: outputs under several masks, or without each unit, stacked in one batch
- ``label_agreement``: how many labels equal those of the intact network
- ``predictions``: from scores to labels
- ``curves``: label agreement against the share of units silenced
- ``sequential``: the same with only as many examples as a given precision needs
- ``single_units``: each unit silenced alone
- ``pre_norm``: a layer silenced before its normalisation and activation
- ``intact_model``: the unmodified model: does it fit the data, and how accurate is it
"""
