"""Silence units of a site and count the labels that stay.

The part of the network before a site runs once for each batch, the part after it once for a stack
of masks. From these counts come ablation curves, bounds on them, and the effect of single units.

- ``options``: what a unit is and what replaces it, as one record with its checks
- ``masks``: which units are silenced together, as masks on a site's activity
- ``batched``: outputs under several masks, or without each unit, side by side in one batch
- ``label_agreement``: how many labels are those of the intact network
- ``predictions``: from scores to labels
- ``curves``: agreement against the share of units silenced
- ``sequential``: the same only as far as a wanted precision needs
- ``single_units``: each unit silenced alone
- ``pre_norm``: a layer silenced before its normalisation and activation
- ``intact_model``: the model as it is: does it fit the data, how often is it right
"""
