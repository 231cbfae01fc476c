-- Gives a gateway its lease. What it reported before is put aside; what it reports again never left.
-- ARGV: …, gateway, attachment, lease.
local gateway, attachment, lease = ARGV[3], ARGV[4], tonumber(ARGV[5])
put_aside(gateway)
redis.call('ZADD', 'presence:leases', whole(now + lease), gateway)
redis.call('HSET', 'presence:attachments', gateway, attachment)
return 1
