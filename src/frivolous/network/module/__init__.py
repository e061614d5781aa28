"""A user's module before it is a graph.

- ``wrappers``: what wraps a model without computing anything is taken off
- ``copying``: a copy that shares nothing with the original, also of what ``deepcopy`` refuses
- ``output_selection``: which of the outputs are the scores
- ``fixed_sizes``: where a model's own code fixes the size of the batch
- ``diagnostics``: why a model could not be read: the line, the reason, the remedy
"""
