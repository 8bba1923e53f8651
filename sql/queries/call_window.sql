-- How many operations the holders of API keys call.

-- name: count(key_id, most)
select admitted, admitted_calls, began_at, at from count_call($1, $2);

-- name: delete_before(moment, most)
-- A row that somebody uses is skipped, not waited for.
delete from call_window where ctid = any (array(
    select ctid from call_window where minute < $1 limit $2 for update skip locked
)) returning 1;
