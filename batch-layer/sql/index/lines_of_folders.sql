-- How many lines folders have, and how many of them are rejected. $1: the folders.
select folder, sum(lines)::bigint, sum(rejected_lines)::bigint
from archive_objects where folder = any ($1) and not gone group by folder
