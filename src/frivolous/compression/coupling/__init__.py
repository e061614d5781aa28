"""Which entries of which tensors must be removed together with a unit.

- ``channel_ids``: every entry of every axis of units gets an id; equal ids go together
- ``rules``: which ids each operation makes equal, and which it keeps from being removed
- ``propagate``: the rules applied to a whole graph
- ``groups``: pruning groups: the sites that share ids, and the layers that read them
- ``costs``: parameters and multiply-adds of any choice of units, and the path to the fewest
"""
