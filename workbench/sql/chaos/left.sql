-- What compact has yet to do, as a sentence.
select format('%s objects of the lake and %s raw ones announced',
              (select count(*) from lake_objects where state <> 'verified'),
              (select count(*) from covered_objects where deleted_at is null))
