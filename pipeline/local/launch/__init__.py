"""One job in a child process, or in containers."""
