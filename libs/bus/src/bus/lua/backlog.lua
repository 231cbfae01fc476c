-- Returns the age in milliseconds of the oldest entry of each stream, 0 for an empty one. ARGV: stream, … (as in look.lua).
local time = redis.call('TIME')
local now, answer = time[1] * 1000 + math.floor(time[2] / 1000), {}
for i = 1, #ARGV do
    local oldest = redis.call('XRANGE', ARGV[i], '-', '+', 'COUNT', 1)[1]
    answer[i] = oldest and math.max(now - tonumber(string.match(oldest[1], '^%d+')), 0) or 0
end
return answer
