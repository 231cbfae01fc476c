-- Disconnects some detached connections, except those reported again. Returns how many it processed.
-- ARGV: …, approximate number of connections.
local detached = redis.call('LINDEX', 'presence:gone', 0)
if not detached then
    return 0
end
local gateway = string.match(detached, '^presence:gone:(.*):%d+$')
local held = 'presence:gateway:' .. gateway
local page = redis.call('HSCAN', detached, '0', 'COUNT', ARGV[3])[2]
for i = 1, #page, 2 do
    if redis.call('HEXISTS', held, page[i]) == 0 then
        disconnect(page[i + 1], page[i])
    end
    redis.call('HDEL', detached, page[i])
end
if redis.call('EXISTS', detached) == 0 then
    redis.call('LPOP', 'presence:gone')
end
return #page / 2
