"""A version waits for approval, and champion/ follows what is decided."""
