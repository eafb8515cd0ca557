"""Moving bytes between a thread and an event loop; handed what they need, looking for nothing."""
