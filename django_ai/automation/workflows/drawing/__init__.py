"""Draw: the graph of a workflow as a picture. Nothing but text is made here."""
