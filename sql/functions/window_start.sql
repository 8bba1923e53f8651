-- Returns when the window began that a count belongs to: a minute or a day, by its `length`.
--
-- `counted` is the window of the last count, `present` the one that the clock is in. If `counted`
-- is just ahead of the clock, then the clock was set back a little, and the count goes on in the
-- same window: a clock that is set back gives no key a fresh limit. A window that lies further
-- ahead was begun by a wrong clock and is dropped, as is every window that is over.
create function window_start(counted timestamptz, present timestamptz, length interval)
returns timestamptz
language sql stable as $$
    select case
        when counted >= present and counted <= present + length then counted
        else present
    end
$$;
