-- Renews a gateway's lease and takes what it reports; answers -1, and takes nothing, when the lease is another's or gone.
-- ARGV: …, gateway, attachment, lease, then user, connection, status (empty: the connection left) of each change.
local gateway, attachment, lease = ARGV[3], ARGV[4], tonumber(ARGV[5])
if redis.call('HGET', 'presence:attachments', gateway) ~= attachment
    or not redis.call('ZSCORE', 'presence:leases', gateway) then
    return -1
end
redis.call('ZADD', 'presence:leases', whole(now + lease), gateway)

-- A person who changes a status on a device that stays decides: devices that left no longer count.
local function forget_those_that_left(key)
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
        leave(user, connection)
        redis.call('HDEL', held, connection)
    else
        local before = redis.call('HGET', key, field)
        if before and before ~= status and not string.find(before, '@', 1, true) then
            forget_those_that_left(key)
        end
        redis.call('HSET', key, field, status)
        redis.call('HSET', held, connection, user)
        refresh(user)
    end
end
return publish()
