"""The routes of the inventory API, a package for each subject."""
