-- Takes or renews a gateway's lease. Returns the record's age in milliseconds.
-- KEYS: gateways (sorted set: gateway by the end of its lease), since (hash), addresses (hash: address by gateway).
-- ARGV: gateway, lease in milliseconds, address (empty if it accepts no calls).
-- `since` holds the server's run id and when the record began: a wipe, restart or fail-over makes the record young again.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
local since = redis.call('HMGET', KEYS[2], 'run', 'since')
if since[1] ~= run then
    redis.call('HSET', KEYS[2], 'run', run, 'since', now)
    since[2] = now
end
for _, ended in ipairs(redis.call('ZRANGE', KEYS[1], '-inf', now, 'BYSCORE')) do
    redis.call('HDEL', KEYS[3], ended)
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
if ARGV[3] ~= '' then
    redis.call('HSET', KEYS[3], ARGV[1], ARGV[3])
end
return now - since[2]
