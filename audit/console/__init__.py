"""The frame of the staff console: lists, dialogs, filters, files."""
