"""An app with a run that never ends by itself."""
