"""Import of files by staff: reading tables, converting cells, and the import page."""
