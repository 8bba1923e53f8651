"""What admins do to accounts, API keys, capabilities, audiences and tiers."""
