"""Names and rules that every place shares: definition, jobs, runner, stack, Lambda functions. Standard library only."""
