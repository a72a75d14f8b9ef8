"""Step 1: source archives, images, manifests and their staging."""
