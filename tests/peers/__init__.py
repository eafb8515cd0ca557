"""What gatebridge and its peers can do, probed row by row, beside what the features page says."""
