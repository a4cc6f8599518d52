"""The server that answers SageMaker's GET /ping and POST /invocations with a model's own state of the past."""
