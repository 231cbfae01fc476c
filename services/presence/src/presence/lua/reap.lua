-- Takes the lease from gateways whose time is up. Answers how many.
local ended = redis.call('ZRANGEBYSCORE', 'presence:leases', '-inf', whole(now), 'LIMIT', 0, 100)
for _, gateway in ipairs(ended) do
    put_aside(gateway)
    redis.call('ZREM', 'presence:leases', gateway)
    redis.call('HDEL', 'presence:attachments', gateway)
end
return #ended
