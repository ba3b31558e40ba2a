"""Consume incoming events from a Redis stream or from Kafka (``manage.py consume_events``).

An entry is acknowledged after the transaction that applied it. If the process dies between the two, the entry is read
again, and recognised by the id of its event.
"""
