"""The report of a compression: what was removed, and what that changed.

- ``tables``: the frames of a report
- ``held_out``: labels, accuracy and other outputs on examples that the search did not see
- ``skipped``: layers that keep all units, with the reason
- ``unit_counts``: units as sites count them
"""
