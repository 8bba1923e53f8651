"""Other issuers of tokens, measured by the script that measures ours: `make bench-peers`."""
