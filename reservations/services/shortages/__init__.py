"""Services of shortages, in which holds are broken."""
