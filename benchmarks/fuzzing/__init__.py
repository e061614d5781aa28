"""Random networks and random data, and what is asked of the library for each of them."""
