"""The lifespan protocol, from both of its sides."""
