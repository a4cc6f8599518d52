"""Whether the champion is still right, and the data as it should be."""
