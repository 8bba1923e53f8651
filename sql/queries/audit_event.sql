-- Who did what, written in the transaction of the act.

-- name: append(actors, operations, subjects, details)
select append_audit_events($1, $2, $3, $4);

-- name: list(subject, most)
-- The newest come first; those of one subject, or all if none is given.
select event.number, event.at, event.actor, event.account_id, audit_address.address,
    audit_address.salt as address_salt, event.address_commitment, event.request_id,
    event.operation, event.subject, event.detail, event.hash
from audit_event as event left join audit_address on audit_address.number = event.number
where $1::text is null or event.subject = $1 order by event.number desc limit $2;

-- name: list_after(number, upto, most)
-- In the order of the chain.
select event.number, event.at, event.actor, event.account_id, audit_address.address,
    audit_address.salt as address_salt, event.address_commitment, event.request_id,
    event.operation, event.subject, event.detail, event.hash
from audit_event as event left join audit_address on audit_address.number = event.number
where event.number > $1 and event.number <= $2 order by event.number limit $3;

-- name: load_head()
select number, hash, epoch from audit_head;

-- name: list_hashes(numbers)
select number, hash from audit_event where number = any ($1::bigint[]);
