"""Training on several hosts."""
