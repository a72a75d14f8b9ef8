"""SageMaker on one machine, without Docker."""
