-- Events on their way to endpoints.

-- name: list_due(endpoint_id, most)
select delivery.id as delivery_id, delivery.attempts, clock_timestamp() as read_at, event.number,
    event.id, event.at, event.name, event.account_id, event.subject, event.subject_number,
    event.detail
from notice_delivery as delivery
    join notice_event as event on event.number = delivery.event_number
where delivery.endpoint_id = $1 and delivery.next_at <= clock_timestamp()
order by delivery.next_at, delivery.id limit $2;

-- name: note_attempt(ids, is_delivered, status, error, pauses)
-- `pauses`: how long each waits for the next attempt; null: there is none.
update notice_delivery as delivery
set attempts = delivery.attempts + 1, tried_at = clock_timestamp(),
    delivered_at = case when $2::boolean then clock_timestamp() end, status = $3, error = $4,
    next_at = clock_timestamp() + tried.pause
from unnest($1::bigint[], $5::interval[]) as tried (id, pause)
where delivery.id = tried.id;

-- name: list_endpoints(account_id)
select id from notice_endpoint where account_id = $1 and deleted_at is null;

-- name: find(id)
select * from listed_notice_delivery where id = $1;

-- name: find_of_event(event_number)
select * from listed_notice_delivery
where id = (select min(id) from notice_delivery where event_number = $1);

-- name: repeat(id)
update notice_delivery set next_at = clock_timestamp(), attempts = 0, delivered_at = null
where id = $1;

-- name: wake(endpoint_id)
update notice_endpoint set due_at = least(due_at, clock_timestamp()) where id = $1;

-- name: find_oldest()
select coalesce(extract(epoch from clock_timestamp() - min(delivery.created_at)), 0)::float8
from notice_delivery as delivery join notice_endpoint as endpoint on endpoint.id = endpoint_id
where delivery.next_at is not null and endpoint.disabled_at is null
    and endpoint.deleted_at is null;
