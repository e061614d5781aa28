"""Train dense networks of one shape side by side.

- ``train``: ``train_cohort``
- ``recipe``: how they are trained, as a record
- ``block``: their states and updates in memory
- ``stacked_mlp``: forward and backward pass of K networks at once
- ``optimisers``: update rules on stacked parameters
"""
