-- Returns {gateway, address, …}: gateways with a valid lease that accept calls of other gateways.
-- KEYS: gateways, addresses (see renew_lease.lua).
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local answer = {}
for _, gateway in ipairs(redis.call('ZRANGE', KEYS[1], '(' .. now, '+inf', 'BYSCORE')) do
    local address = redis.call('HGET', KEYS[2], gateway)
    if address then
        answer[#answer + 1] = gateway
        answer[#answer + 1] = address
    end
end
return answer
