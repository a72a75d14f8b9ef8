"""Step 2: what runs inside SageMaker: `train`, `serve` and `monitor`, and the predictor they share."""
