-- Whose the list of migrations is, who asks, and whether he may read it; no row where he may do
-- what is needed. $1: whether he is to write.
select pg_get_userbyid(relowner)::text, current_user::text, has_table_privilege(oid, 'select')
from pg_class
where oid = to_regclass('public._sqlx_migrations')
  and not (has_table_privilege(oid, 'select') and (has_table_privilege(oid, 'insert') or not $1))
