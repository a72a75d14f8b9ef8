"""Step 1: source archives, images, manifests and their staging."""

from scones.data.dataset import Dataset, Image, read_dataset
from scones.data.staging import stage

__all__ = ["Dataset", "Image", "read_dataset", "stage"]
