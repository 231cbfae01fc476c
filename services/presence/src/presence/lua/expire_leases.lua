-- Ends up to 100 expired leases. Returns how many.
local expired = redis.call('ZRANGEBYSCORE', 'presence:leases', '-inf', whole(now), 'LIMIT', 0, 100)
for _, gateway in ipairs(expired) do
    detach(gateway)
    redis.call('ZREM', 'presence:leases', gateway)
    redis.call('HDEL', 'presence:attachments', gateway)
end
return #expired
