"""Webhooks: events are sent to the addresses that subscribe to them, according to Standard Webhooks 1.0.

A *subscription* has a cursor in the log of events (``audit.feed``) and a filter. Its sender turns the events after the
cursor that pass the filter into *deliveries*, and moves the cursor, in one transaction; it sends the deliveries,
records each attempt, and deletes those that are acknowledged. ``run_webhooks`` runs the senders of all subscriptions;
``managing`` has the commands to manage them.
"""
