"""The CDK app that deploys the compiled pipeline: one construct a capability."""
