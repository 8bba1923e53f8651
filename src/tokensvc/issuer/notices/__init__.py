"""Notices: finding out of what somebody must be told, and telling them."""
