"""The commands of the workflows app, and what they are made of."""
