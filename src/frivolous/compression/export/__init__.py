"""Save a compression to disk, and load it again.

- ``save``, ``load``: weights, tables and the sizes of layers, without pickle
- ``surgery_spec``: what was done to a module, as plain data
- ``onnx``: the thinner module as an ONNX file, checked before it is kept
"""
