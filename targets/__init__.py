"""The same pipeline elsewhere: in one container under any scheduler, in Kubeflow and in Azure ML (docs/targets.md)."""
