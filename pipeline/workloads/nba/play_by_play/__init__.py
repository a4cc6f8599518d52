"""Play-by-play events to one row a team and game, and to features."""
