-- Waits for other migrations, and holds up later ones.
do $$
begin
    if to_regclass('public._sqlx_migrations') is null then
        perform pg_advisory_xact_lock(hashtext('stocks.migrations'));
    else
        lock table public._sqlx_migrations in share row exclusive mode;
    end if;
end
$$
