"""Statistics of activity, streamed in float64 and combined exactly.

- ``moments``: counts, means and centred scatter matrices that add up (Chan, Golub and LeVeque)
- ``streaming``: one pass over the data for every site of a network
- ``jackknife``: the measures of a site with intervals over examples
"""
