"""The code of the user's guide, run as it is printed there."""
