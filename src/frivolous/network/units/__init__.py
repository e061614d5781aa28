"""TODO network/units."""
