"""Tests of incoming events of orders and products."""
