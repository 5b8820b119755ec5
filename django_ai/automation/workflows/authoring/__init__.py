"""Declare: decorated classes become workflow definitions. No I/O."""
