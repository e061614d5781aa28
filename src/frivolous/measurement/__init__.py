"""Measurement: ``fv.measure``, everything about the units of one network.

- ``measure``: the public function and its checks
- ``run``: the stages one after another; finished ones are kept if a later one is stopped
- ``effective_width``: the fewest units of each site that keep the labels
- ``site_table``, ``unit_table``, ``rows``: from numbers to the frames of the result
- ``result``: the record that is returned, saved and loaded
"""
