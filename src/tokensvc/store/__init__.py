"""The only room that knows Postgres and the files beside it. One module per table; the SQL lies in `sql/`."""
