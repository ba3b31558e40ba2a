"""Services: the commands that change the inventory, a package for each subject."""
