"""Services of access: people and API clients."""
