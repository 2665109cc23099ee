-- Takes back that objects were about to be deleted again; the lake goes on standing for what they
-- were before. $1: their keys.
update covered_objects set noted_at = deleted_at where key = any ($1) and noted_at > deleted_at
