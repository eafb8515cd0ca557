"""What the console script is made of."""
