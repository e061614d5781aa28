"""Train one network of any shape; a killed training resumes bit for bit.

- ``train``: ``train_network``
- ``recipe``: how it is trained, as a record
- ``trainer``: all that changes from update to update
- ``trainer_state``, ``checkpoint``: that state as tensors, and on disk
- ``loader``: order, place and preparation of training batches
- ``optimisers``, ``schedules``: update rules and learning rates
- ``evaluation``, ``history``: accuracy, and the record of every epoch
- ``determinism``: repeatable kernels and random streams, restored for the caller
- ``process_group``, ``fabric``: several processes or devices
- ``heartbeat``: reports and saves by the clock
"""
