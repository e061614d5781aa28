"""In which order the units of a group go.

- ``calibration``: one pass over the data: moments of what readers see, and how much outputs matter
- ``im2col``: what a layer reads, as rows of features
- ``methods``: the criteria, each an order of units and a way of fitting what reads them
- ``mirrored_relu``: pairs of mirrored rectified units rewritten, so that one of them is free
"""
