-- Raw objects that the lake stands for and that are about to be deleted, for the first time or
-- again, with whether they were noted within a day.
select key, noted_at > now() - interval '1 day' from covered_objects
where deleted_at is null or noted_at > deleted_at order by key
