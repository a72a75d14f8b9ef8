"""What runs inside SageMaker's containers: training, serving and monitoring."""
