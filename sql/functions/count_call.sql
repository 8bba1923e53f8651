-- Counts one call of an operation by the holder of an API key, if it is within the limit.
--
-- `most` calls are admitted in a minute (UTC), by all processes together: the row is locked while
-- it is counted, and a call beyond the limit changes nothing. `admitted_calls` is what has been
-- admitted in the minute that began at `began_at`, by the clock `at`.
--
-- The count may be lost in a crash: the commit of this statement waits for no disk and no standby.
create function count_call(caller text, most int)
returns table (admitted boolean, admitted_calls int, began_at timestamptz, at timestamptz)
language plpgsql as $$
begin
    perform set_config('synchronous_commit', 'off', true);
    insert into call_window as counted (key_id, minute, count)
    values (caller, date_trunc('minute', clock_timestamp(), 'UTC'), 1)
    on conflict (key_id) do update
    set minute = window_start(counted.minute, excluded.minute, interval '1 minute'),
        count = case
            when window_start(counted.minute, excluded.minute, interval '1 minute')
                = counted.minute then counted.count + 1
            else 1
        end
    where counted.count < most
        or window_start(counted.minute, excluded.minute, interval '1 minute') <> counted.minute
    returning true, counted.count, counted.minute into admitted, admitted_calls, began_at;
    if admitted is null then
        select false, call_window.count, call_window.minute
        into admitted, admitted_calls, began_at
        from call_window where call_window.key_id = caller;
    end if;
    at := clock_timestamp();
    return next;
end
$$;
