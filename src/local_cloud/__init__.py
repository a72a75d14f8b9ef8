"""One port that is AWS, on a laptop, without Docker."""
