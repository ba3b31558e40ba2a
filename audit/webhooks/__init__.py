"""Webhooks: events are sent to the addresses that subscribe to them, as Standard Webhooks 1.0 has it.

A *subscription* is a cursor over the log of events (``audit.feed``). Its sender turns the events behind the cursor that
pass its filter into *deliveries*, and moves the cursor, in one transaction; it sends them, records each attempt, and
deletes those that are acknowledged. ``run_webhooks`` works all subscriptions; ``managing`` has the commands of
those who manage them.
"""
