-- Notes an object that cannot be read, and says whether it is new. $1: key, $2: folder, $3: etag,
-- $4: size, $5: kind, $6: why.
insert into broken_objects as known (key, folder, etag, size, kind, detail)
values ($1, $2, $3, $4, $5, $6)
on conflict (key) do update
    set (etag, size, kind, detail, last_tried)
        = (excluded.etag, excluded.size, excluded.kind, excluded.detail, now())
returning since = last_tried
