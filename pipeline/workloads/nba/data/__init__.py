"""Files of games to validated games."""
