"""Use cases: what the service and its operators do.

No HTTP and no SQL: a function here carries out on `store` what `core` decides. The rooms import
each other in one direction only: exchange and admin, then revoking, mirror, signing.
"""
