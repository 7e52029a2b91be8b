"""A stand-in for xAI's usage endpoint: teams, keys, costs from a seed, and faults by script."""
