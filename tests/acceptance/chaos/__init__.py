"""Real servers, workers and beats under mixed load, to which the worst is done at random times."""
