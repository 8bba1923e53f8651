"""How long a revoked token lives at the last of many followers, and what followers cost."""
