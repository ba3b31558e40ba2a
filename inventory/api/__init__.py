"""The routes of the levels, the catalogue and adjustments."""
