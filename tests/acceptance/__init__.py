"""The example shop as real processes."""
