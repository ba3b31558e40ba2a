"""Routes of bookkeeping: archive and reconciliation."""
