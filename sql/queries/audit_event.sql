-- Who did what, written in the transaction of the act.

-- name: append(actors, operations, subjects, details)
select append_audit_events($1, $2, $3, $4);

-- name: append_of_caller(caller, actors, operations, subjects, details)
select append_events_of_caller($1, $2, $3, $4, $5) as stands;

-- name: has_recent(operation, subject, within)
select exists (
    select from audit_event
    where subject = $2 and operation = $1 and at > clock_timestamp() - $3::interval
);

-- name: list_after(number, most)
-- In the order of the chain.
select * from listed_audit_event where number > $1 order by number limit $2;

-- name: load_head()
select number, hash, epoch from audit_head;

-- name: list_hashes(numbers)
select number, hash from audit_event where number = any ($1::bigint[]);

-- name: load_claim(numbers)
-- Where the trail ends, and what the table holds as the hashes of earlier events: the last 32 whose
-- numbers are multiples of 100, and those wanted. All is read from the events themselves by one
-- statement. audit_head tells only the epoch: it may say more than there is.
select audit_head.epoch, coalesce(newest.number, 0) as head_number, newest.hash as head_hash,
    (select min(number) from audit_event) as oldest, wanted.number, event.hash
from audit_head
left join (select number, hash from audit_event order by number desc limit 1) as newest on true
left join lateral (
    select unnest($1::bigint[]) as number
    union select generate_series(newest.number / 100 * 100 - 3100, newest.number, 100)
) as wanted on wanted.number > 0
left join audit_event as event on event.number = wanted.number
order by wanted.number;

-- name: is_owner()
select has_table_privilege('audit_event', 'delete') and has_table_privilege('audit_head', 'update')
    as is_owner;

-- name: find_checkpoint()
select number, at, jws from audit_checkpoint order by number desc limit 1;

-- name: find_last_before(moment)
-- The clock may have been set back between two events. All up to this one are older than that.
select greatest(number, 0) as number
from (
    select coalesce(
        (select min(number) from audit_event where at >= $1) - 1,
        (select max(number) from audit_event)
    ) as number
) as last;

-- name: insert_checkpoint(number, jws)
insert into audit_checkpoint (number, at, jws) values ($1, clock_timestamp(), $2);

-- name: delete_addresses_upto(number)
delete from audit_address where number <= $1;

-- name: delete_upto(number)
delete from audit_event where number <= $1;

-- name: delete_addresses_before(moment, most)
delete from audit_address where number in (
    select number from audit_address where at < $1 order by at limit $2
) returning number;

-- name: declare_reset(actor, reason)
select number, hash, epoch from declare_audit_reset($1, $2);

-- name: find_causes(operations, subjects, moments)
-- What brought something about that was there a moment later: the last such event before it. Both
-- belong to one transaction; a second is granted, because they read the clock one after the other.
select cause.actor, cause.detail ->> 'reason' as reason
from unnest($1::text[], $2::text[], $3::timestamptz[]) with ordinality
        as asked (operation, subject, at, place)
    left join lateral (
        select event.actor, event.detail from audit_event as event
        where event.subject = asked.subject and event.operation = asked.operation
            and event.at <= asked.at + interval '1 second'
        order by event.number desc limit 1
    ) as cause on true
order by asked.place;
