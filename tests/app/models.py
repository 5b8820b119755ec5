"""Models of the suite; they have no migrations, so a new one needs nothing but its class."""
