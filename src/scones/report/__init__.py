"""Step 4: what a run did, as figures and one HTML page."""
