"""Revoking: what is written when tokens end, and the feed that tells relying parties."""
