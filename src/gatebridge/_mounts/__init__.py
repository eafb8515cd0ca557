"""Applications of both kinds below path prefixes."""
