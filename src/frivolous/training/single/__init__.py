"""One network of any shape, trained; killed at any moment, it goes on bit for bit.

- ``train``: ``train_network``
- ``recipe``: how it is trained, as a record
- ``trainer``: all that changes from update to update
- ``trainer_state``, ``checkpoint``: that state as tensors, and on disk
- ``loader``: order, place and preparation of training batches
- ``optimisers``, ``schedules``: update rules and learning rates
- ``evaluation``, ``history``: accuracy, and what the training saw of itself
- ``determinism``: nothing left to chance, and nothing changed for the caller
- ``process_group``, ``fabric``: several processes or devices
- ``heartbeat``: reports and saves by the clock
"""
