"""Use cases: what the service and its operators do. No HTTP, no SQL; each function performs one decision of `core` on `store`."""
