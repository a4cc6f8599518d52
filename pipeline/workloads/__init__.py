"""One folder a model: everything that knows its domain."""
