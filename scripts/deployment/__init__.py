"""The checks of a deployed environment that scripts.check_deployment makes, by subject. All of them only read."""
