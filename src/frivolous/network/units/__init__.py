"""Where a graph has units, and which layers read them.

- ``axis_layout``: an axis as a product of examples, units and positions
- ``propagation``: layouts through operations that mix no units
- ``layers``: what a layer reads, with which weights, and its name
- ``dataflow``: one forward pass: what every value holds of whose units
- ``sites``: the values where units can be read and silenced
- ``residual_streams``: values that blocks add to and pass on
- ``relayout``: units along several axes, rearranged along one
- ``outgoing_weights``: the weights that read each unit
"""
