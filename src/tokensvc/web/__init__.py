"""HTTP: each handler parses, calls one use case, renders. No SQL, no decisions."""
