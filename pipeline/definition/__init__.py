"""The pipeline as the SageMaker SDK compiles it, its differences in words, and the rules of the service."""
