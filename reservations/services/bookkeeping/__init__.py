"""Services of bookkeeping: archive and reconciliation."""
