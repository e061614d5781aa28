"""A user's module before it becomes a graph.

- ``wrappers``: removes wrappers that compute nothing
- ``copying``: copies a module, also where ``copy.deepcopy`` refuses
- ``output_selection``: which of the outputs are the scores
- ``fixed_sizes``: where a model's own code fixes the batch size
- ``diagnostics``: why a model could not be traced: the line, the reason, the remedy
"""
