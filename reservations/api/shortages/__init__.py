"""Routes of shortages, in which holds are broken."""
