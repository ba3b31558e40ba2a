"""The base of the staff console: lists, dialogs, filters, imports and exports."""
