-- Notes objects that were read. $1: keys, $2: folders, $3: etags, $4: sizes, $5: when they were
-- modified, $6: lines, $7: rejected lines, $8: how they were read, $9: whether their lines tell no
-- offsets.
insert into archive_objects
    (key, folder, etag, size, last_modified, lines, rejected_lines, decode_rules, lacks_offsets)
select *
from unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::timestamptz[], $6::bigint[],
            $7::bigint[], $8::text[], $9::bool[])
