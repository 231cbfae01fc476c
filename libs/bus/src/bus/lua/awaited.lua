-- Says who of the present has not confirmed a matter, and how long the record has been kept.
-- KEYS: places, birth, confirmations of the matter. Answers {age in milliseconds, member …}. See attend.lua.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
local birth = redis.call('HMGET', KEYS[2], 'run', 'since')
if birth[1] ~= run then
    redis.call('HSET', KEYS[2], 'run', run, 'since', now)
    birth[2] = now
end
local answer = {now - birth[2]}
for _, member in ipairs(redis.call('ZRANGE', KEYS[1], '(' .. now, '+inf', 'BYSCORE')) do
    if redis.call('SISMEMBER', KEYS[3], member) == 0 then
        answer[#answer + 1] = member
    end
end
return answer
