-- Who this service is, as its starts say.

-- name: find()
select issuer, key_prefix from service_identity for update;

-- name: replace(issuer, key_prefix)
insert into service_identity (issuer, key_prefix) values ($1, $2)
on conflict (only_row) do update set issuer = excluded.issuer, key_prefix = excluded.key_prefix;
