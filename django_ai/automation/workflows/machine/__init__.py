"""Decide: what happens to a run, as pure functions of its state. No ORM, no clock, no messages."""
