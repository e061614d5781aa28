"""The search for the smallest network within a tolerance, or for one of a given size.

- ``search``: the sequence of thinner networks, and which of them is returned
- ``label_test``: held-out labels that change, and the bound on their share
- ``estimates``: time and memory of a stage, estimated before it begins
"""
