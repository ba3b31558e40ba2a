"""Console pages of shortages, in which holds are broken."""
