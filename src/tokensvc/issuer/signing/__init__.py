"""Signing keys: which one signs, rotation, the master key that seals them."""
