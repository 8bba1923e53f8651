-- Signing keys: public half, sealed private half, and when each may do what.

-- name: list()
select kid, alg, public_jwk, sealed_private_key, created_at, active_at, revoked_at from signing_key order by created_at, kid;

-- name: insert(kid, alg, public_jwk, sealed_private_key, created_at, active_at)
insert into signing_key (kid, alg, public_jwk, sealed_private_key, created_at, active_at) values ($1, $2, $3, $4, $5, $6);

-- name: activate(kid, active_at)
update signing_key set active_at = $2 where kid = $1 and active_at is null and revoked_at is null;
