"""The pipeline in SageMaker, its roles and the image that its steps run in."""
