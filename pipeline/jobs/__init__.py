"""What a container runs: the entry point, and one program a job."""
