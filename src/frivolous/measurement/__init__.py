"""``fv.measure``: everything about the units of one network.

- ``config``: its options as one record, with their checks and help texts
- ``measure``: the public function
- ``run``: the stages one after another; what is done stands when a later one is stopped
- ``effective_width``: the fewest units of each site that keep the labels
- ``site_table``, ``unit_table``, ``rows``: from numbers to the frames of the result
- ``result``: the record that comes back, saved and loaded
"""
