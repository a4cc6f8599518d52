"""NBA home-win probability: the reference workload."""
