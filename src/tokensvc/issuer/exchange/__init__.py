"""The exchange: an API key in, a token out, decided and counted by Postgres."""
