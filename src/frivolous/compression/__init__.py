"""``fv.compress``: the thinner network that computes the same function.

- ``config``, ``budget``: the options as one record, with their checks and help texts
- ``compress``: the public function
- ``private_copy``, ``pruner``: the copy that is worked on, and how it is made thinner
- ``trials``: units removed for a test, before any search
- ``coupling``, ``criteria``: which units go together, and in which order
- ``search``, ``selection``: how thin the network may become
- ``reconstruction``, ``distillation``: what is left, fitted to what it stands in for
- ``surgery``: smaller layers for those that lost units
- ``reporting``, ``profiling``, ``summary``: what went and what that changed
- ``result``, ``export``: what comes back, saved, loaded, or written as ONNX
"""
