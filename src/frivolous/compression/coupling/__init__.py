"""Which entries of which tensors go together when a unit goes.

- ``channel_ids``: every entry of every unit axis gets a number; equal numbers go together
- ``rules``: what each operation makes equal, or keeps from being removed
- ``propagate``: the rules applied to a whole graph
- ``groups``: pruning groups: the sites that share numbers, and the layers that read them
- ``costs``: parameters and multiply-adds of any choice of units, and the path from all to none
"""
