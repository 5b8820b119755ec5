"""What the documentation says is so: its code runs, its commands exist, its site is whole."""
