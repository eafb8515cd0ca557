"""Threads and event loops: the worker pool, background loops, and portals from threads to them."""
