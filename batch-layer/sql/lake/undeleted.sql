-- Raw objects that the lake stands for and that are not deleted, with whether they were noted
-- within a day.
select key, noted_at > now() - interval '1 day' from covered_objects
where deleted_at is null order by key
