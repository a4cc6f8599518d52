"""Files as bytes and lines: what is in a folder, what a file holds, and what each of its lines is."""
