-- Notes how a run has ended. $1: the run, $2: status, $3: hours computed, $4: hours failed, $5:
-- objects read, $6: bytes read, $7: ticks, $8: rejected lines, $9: duplicates, $10: error, $11:
-- conflicts, $12: hours from the lake, $13: objects of the lake that were read.
update batch_runs
set (finished_at, status, hours_computed, hours_failed, objects_read, bytes_read, ticks,
     rejected_lines, duplicates, error, conflicts, hours_from_lake, lake_objects_read)
    = (now(), $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
where run_id = $1
  -- Whoever has taken over the lock meanwhile has said what there is to say of this run.
  and status = 'running'
