"""Game files to validated games: reading, rules, overlaps, the league's calendar."""
