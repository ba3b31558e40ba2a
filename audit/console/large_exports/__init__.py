"""Exports of many rows: written by a worker, kept in the database for a day, and listed with their progress."""
