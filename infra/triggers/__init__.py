"""What starts a run, and the workflow that lets one run at a time."""
