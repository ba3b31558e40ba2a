"""The audit trail, the outbox, API clients, and the frames that the API and the console share."""
