"""Step 2: what runs inside SageMaker: `train` and `serve`, and the predictor they share."""
