"""What the ledger promises, on real processes."""
