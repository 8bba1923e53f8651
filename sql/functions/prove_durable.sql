-- Makes the commit of this transaction wait until everything that it has seen is durable.
--
-- A repeated act finds that the first one is done and writes nothing. But the answer to the first
-- may have been lost, and it may have been visible before a synchronous standby had it. A commit
-- waits for disk and standby only if its transaction wrote to the WAL. So this writes a message
-- there, of some 60 bytes, which belongs to no table and which nobody reads. The wait covers all
-- that comes before it in the WAL, and so the first act.
create function prove_durable()
returns void
language plpgsql as $$
begin
    perform pg_logical_emit_message(true, 'tokensvc', '');
end $$;
