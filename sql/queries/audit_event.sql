-- Who did what, written in the transaction of the act.

-- name: append(actor, action, subject, detail)
select append_audit_event($1, $2, $3, $4);

-- name: list(subject, most)
-- The newest come first; those of one subject, or all if none is given.
select id, at, actor, action, subject, detail from audit_event
where $1::text is null or subject = $1 order by id desc limit $2;
