"""What makes `cdk destroy` work by itself."""
