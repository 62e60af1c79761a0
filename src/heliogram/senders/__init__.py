"""Sending in several processes on one embedded store.

The serving process keeps what there is one of: the API, the writer of the database, small sends, upkeep and webhooks.
Each sender is a process of its own with the same delivery code for large sends. It reads the database by itself, and
asks the serving process over a socket for everything that writes.
"""
