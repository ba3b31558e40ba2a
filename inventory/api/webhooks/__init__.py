"""Routes of webhooks: subscriptions, their attempts, and sending again."""
