"""Metrics of processes and of the database, and the server that shows them to Prometheus.

What is counted is defined in ``audit.metrics``, and counted where it happens.
"""
