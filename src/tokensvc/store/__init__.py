"""The only room that knows Postgres and the files beside it.

There is one module per table; its statements lie in `sql/queries/`.
"""
