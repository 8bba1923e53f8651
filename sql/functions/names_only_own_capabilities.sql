-- Tells whether all of these capabilities begin with `tokensvc:`. A token gets such a capability
-- only if the request names it, so a request with a key that has no others must always name its
-- scope. The prefix stands in `core/capability.py` too.
create function names_only_own_capabilities(capabilities text[]) returns boolean
language sql immutable parallel safe as $$
    select not exists (
        select from unnest(capabilities) as capability where capability not like 'tokensvc:%'
    )
$$;
