-- Who did what, written in the transaction of the act.

-- name: append(actor, action, subject, detail)
insert into audit_event (at, actor, action, subject, detail)
values (clock_timestamp(), $1, $2, $3, $4);

-- name: list(subject, most)
-- The newest come first; those of one subject, or all if none is given.
select id, at, actor, action, subject, detail from audit_event
where $1::text is null or subject = $1 order by id desc limit $2;

-- name: has_since(subject, action, since)
select exists (select from audit_event where subject = $1 and action = $2 and at >= $3);
