"""What holds for the whole package, read from its code."""
