"""What holds for bodies and responses in both directions: order, length, presence, windows."""
