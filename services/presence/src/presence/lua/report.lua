-- Renews a gateway's lease and applies its changes. Returns the number of presences changed, or -1 without applying anything
-- when the attachment does not own the lease.
-- ARGV: …, gateway, attachment, lease, then user, connection, status (empty: the connection closed) of each change.
local gateway, attachment, lease = ARGV[3], ARGV[4], tonumber(ARGV[5])
if redis.call('HGET', 'presence:attachments', gateway) ~= attachment
    or not redis.call('ZSCORE', 'presence:leases', gateway) then
    return -1
end
redis.call('ZADD', 'presence:leases', whole(now + lease), gateway)

-- A status changed on an open connection takes effect at once: closed connections in their grace period no longer count.
local function forget_closed(key)
    local fields = redis.call('HGETALL', key)
    for i = 1, #fields, 2 do
        if string.sub(fields[i], 1, 2) == 'c:' and string.find(fields[i + 1], '@', 1, true) then
            redis.call('HDEL', key, fields[i])
        end
    end
end

local held = 'presence:gateway:' .. gateway
for i = 6, #ARGV, 3 do
    local user, connection, status = ARGV[i], ARGV[i + 1], ARGV[i + 2]
    local key, field = 'presence:user:' .. user, 'c:' .. connection
    if status == '' then
        disconnect(user, connection)
        redis.call('HDEL', held, connection)
    else
        local before = redis.call('HGET', key, field)
        if before and before ~= status and not string.find(before, '@', 1, true) then
            forget_closed(key)
        end
        redis.call('HSET', key, field, status)
        redis.call('HSET', held, connection, user)
        refresh(user)
    end
end
return publish()
