"""What a compression gives back, and what it says of itself.

- ``result``: the records ``Compression`` and ``Report``
- ``tables``: the frames of a report
- ``summary``: the report as text
- ``held_out``: labels, accuracy and other outputs on examples that the search did not see
- ``skipped``: layers that keep all units, with the reason
- ``unit_counts``: units counted as sites have them
- ``profiling``: latency in pairs, and memory
- ``estimates``: time and memory of a stage before it begins
"""
