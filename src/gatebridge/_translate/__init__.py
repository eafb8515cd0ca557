"""The pure translations: nothing in here waits, and nothing does I/O."""
