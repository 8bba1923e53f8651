"""Copies of small tables, kept fresh, and the healing of what the database has lost of them."""
