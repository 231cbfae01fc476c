-- Takes a place among the present, or keeps it.
-- KEYS: places (sorted set: member by the end of its lease), birth. ARGV: member, lease in milliseconds.
-- `birth` says which server's life this record belongs to and since when: what a wipe, a restart or a fail-over forgets
-- shows in its being young. Answers the record's age in milliseconds.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
local birth = redis.call('HMGET', KEYS[2], 'run', 'since')
if birth[1] ~= run then
    redis.call('HSET', KEYS[2], 'run', run, 'since', now)
    birth[2] = now
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
return now - birth[2]
