"""Forms over HTTP. Needs Django REST framework, which nothing outside of this package imports."""
