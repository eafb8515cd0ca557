"""What frameworks need beyond the adapters; each module imports its framework."""
