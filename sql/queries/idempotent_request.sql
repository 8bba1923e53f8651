-- Requests that their senders have named, so that repeating one creates nothing.

-- name: claim(key_id, name, fingerprint)
-- While another transaction is at work for the same name, this waits until it has ended. It is null
-- if that one has committed.
insert into idempotent_request (key_id, name, fingerprint, at)
values ($1, $2, $3, clock_timestamp())
on conflict (key_id, name) do nothing returning true;

-- name: find(key_id, name, secret_life)
select fingerprint, answer,
    case when at > clock_timestamp() - $3::interval then sealed_secret end as sealed_secret
from idempotent_request where key_id = $1 and name = $2;

-- name: set_answer(key_id, name, answer, sealed_secret)
update idempotent_request set answer = $3, sealed_secret = $4 where key_id = $1 and name = $2;

-- name: delete_secrets_before(moment)
update idempotent_request set sealed_secret = null where at < $1 and sealed_secret is not null;

-- name: delete_before(moment, most)
-- A row that another process is deleting is skipped, not waited for.
delete from idempotent_request where ctid = any (array(
    select ctid from idempotent_request where at < $1 order by at limit $2 for update skip locked
)) returning 1;
