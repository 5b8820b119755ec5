"""A small application whose models the workflows and events of the suite act on."""
