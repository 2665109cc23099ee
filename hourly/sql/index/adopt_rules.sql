-- An hour's objects hold the same by these decode rules as by those that its sums were made by, so
-- the sums are theirs as well. Not where some objects are gone, which nobody can read by them, nor
-- where another version of the program has made the sums. $1: the hour, $2: the rules.
update batch_hours
set decode_rules = $2
where hour = $1
  and decode_rules <> $2
  and split_part(decode_rules, ' ', 1) = split_part($2, ' ', 1)
  and gone_objects = 0
