-- Returns {age of the record in milliseconds, gateway …}: gateways with a valid lease that have not acknowledged a revocation.
-- KEYS: gateways, since (see renew_lease.lua), acknowledgements of the revocation (set).
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
local since = redis.call('HMGET', KEYS[2], 'run', 'since')
if since[1] ~= run then
    redis.call('HSET', KEYS[2], 'run', run, 'since', now)
    since[2] = now
end
local answer = {now - since[2]}
for _, gateway in ipairs(redis.call('ZRANGE', KEYS[1], '(' .. now, '+inf', 'BYSCORE')) do
    if redis.call('SISMEMBER', KEYS[3], gateway) == 0 then
        answer[#answer + 1] = gateway
    end
end
return answer
