-- Those of some folders of which objects are known. $1: the folders.
select folder from unnest($1::text[]) as folder
where exists (select from archive_objects o where o.folder = folder.folder)
