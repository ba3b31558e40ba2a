"""Files that staff import: tables, cells and the page."""
