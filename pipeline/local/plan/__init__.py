"""A definition made ready to run: values bound, expressions, conditions."""
