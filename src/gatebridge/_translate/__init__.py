"""Pure translations: no module here waits or does I/O."""
