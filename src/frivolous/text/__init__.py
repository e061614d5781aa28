"""Results as text for a terminal.

- ``tables``: aligned columns, shares, means with their spread
- ``measurement``: a measurement
- ``study``: a study and its gains
"""
