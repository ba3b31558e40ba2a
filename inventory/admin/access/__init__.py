"""Console pages of access: people and API clients."""
