-- Lets some of the connections that were put aside leave, except those reported again. Answers how many it looked at.
-- ARGV: …, how many at least.
local aside = redis.call('LINDEX', 'presence:gone', 0)
if not aside then
    return 0
end
local gateway = string.match(aside, '^presence:gone:(.*):%d+$')
local held = 'presence:gateway:' .. gateway
local page = redis.call('HSCAN', aside, '0', 'COUNT', ARGV[3])[2]
for i = 1, #page, 2 do
    if redis.call('HEXISTS', held, page[i]) == 0 then
        leave(page[i + 1], page[i])
    end
    redis.call('HDEL', aside, page[i])
end
if redis.call('EXISTS', aside) == 0 then
    redis.call('LPOP', 'presence:gone')
end
return #page / 2
