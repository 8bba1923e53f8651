-- Signing keys: the public half, the sealed private half, and since when each may do what.

-- name: list()
select kid, alg, public_jwk, sealed_private_key, created_at, active_at, revoked_at
from signing_key order by created_at, kid;

-- name: insert(kid, alg, public_jwk, sealed_private_key, created_at, active_at)
insert into signing_key (kid, alg, public_jwk, sealed_private_key, created_at, active_at)
values ($1, $2, $3, $4, $5, $6);

-- name: activate(kid, active_at)
-- A key that was planned for later may begin earlier. One that has begun stays as it is.
update signing_key set active_at = $2
where kid = $1 and revoked_at is null and (active_at is null or active_at > $2);

-- name: revoke(kid, revoked_at)
update signing_key set revoked_at = $2 where kid = $1 and revoked_at is null;

-- name: reseal(kid, sealed_private_key)
update signing_key set sealed_private_key = $2 where kid = $1;
