-- Grants a gateway its lease. Its earlier connections are detached; a connection that it reports again stays connected.
-- ARGV: …, gateway, attachment, lease.
local gateway, attachment, lease = ARGV[3], ARGV[4], tonumber(ARGV[5])
detach(gateway)
redis.call('ZADD', 'presence:leases', whole(now + lease), gateway)
redis.call('HSET', 'presence:attachments', gateway, attachment)
return 1
