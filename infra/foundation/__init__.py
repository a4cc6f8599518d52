"""What the capabilities are built from: keys, buckets, functions, statements of policies."""
