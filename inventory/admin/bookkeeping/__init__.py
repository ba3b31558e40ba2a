"""Console pages of bookkeeping: archive and reconciliation."""
