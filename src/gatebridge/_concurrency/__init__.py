"""Threads and event loops: the worker pool, and the way from a thread back to a loop."""
