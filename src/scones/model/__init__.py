"""Step 2: the classifier. Network, training, calibration, export, evaluation; PyTorch is loaded nowhere
else."""
