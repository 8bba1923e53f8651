-- Tells whether this database holds the whole schema with its rows, and is not being restored.
--
-- pg_restore makes all tables first, fills them one by one, and makes the keys last. So while a key
-- below is missing, the tables that it belongs to may still be empty: no API key is unknown then,
-- no signing key is lost, and nothing must be written, because the rows of the backup are to come.
create function database_is_whole() returns boolean
language sql stable as $$
    select count(*) = 12
    from (
        values
            ('account', 'account_tier_fkey'),
            ('account_window', 'account_window_account_fkey'),
            ('api_key', 'api_key_account_fkey'),
            ('api_key', 'api_key_tier_fkey'),
            ('api_key_window', 'api_key_window_key_fkey'),
            ('audience', 'audience_pkey'),
            ('audit_event', 'audit_event_pkey'),
            ('audit_head', 'audit_head_pkey'),
            ('denylist', 'denylist_pkey'),
            ('feed_head', 'feed_head_pkey'),
            ('issuance', 'issuance_pkey'),
            ('signing_key', 'signing_key_pkey')
    ) as expected (table_name, name)
        join pg_constraint as present on present.conrelid = to_regclass(expected.table_name)
            and present.contypid = 0 and present.conname = expected.name
$$;
