"""For key holders: get tokens with an API key."""
