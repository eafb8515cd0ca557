"""What gatebridge costs, beside what else there is: ``python -m benchmarks``, or ``make bench``."""
