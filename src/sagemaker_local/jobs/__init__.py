"""Training, processing and batch transform jobs: containers as supervised processes."""
