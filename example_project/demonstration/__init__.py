"""What `demo.py` is made of: the shop as a child process, what is started in it, and the screen."""
