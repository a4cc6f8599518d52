"""Lambda code, where no native integration can do it: boto3, the standard library and the shared rules only."""
