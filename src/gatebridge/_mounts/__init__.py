"""Applications of both kinds under path prefixes."""
