-- A hash of all that the index says of an hour. $1: the hour.
select md5(concat_ws(
    E'\n',
    (select string_agg(concat_ws(' ', h.key, o.etag, o.size, o.folder, o.decode_rules,
                                 o.lacks_offsets, o.gone, h.merged, h.ticks, h.content_hash, h.offsets_hash,
                                 coalesce(h.summed_content_hash::text, '-'),
                                 coalesce(h.summed_offsets_hash::text, '-')), E'\n' order by h.key)
     from archive_object_hours h join archive_objects o using (key)
     where h.hour = $1),
    (select concat('stale ', replaced, ' ', reread) from stale_hours where hour = $1),
    (select concat('computed ', extract(epoch from computed_at), ' ', gone_objects)
     from batch_hours where hour = $1),
    (select concat('held ', count(*)) from blocked_hours where hour = $1)))
