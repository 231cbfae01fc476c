-- Appends to a stream unless that would take it past its bound; then takes nothing and answers -1. Answers its length.
-- KEYS: stream. ARGV: bound, payload …
local length = redis.call('XLEN', KEYS[1])
if length + #ARGV - 1 > tonumber(ARGV[1]) then
    return -1
end
for i = 2, #ARGV do
    redis.call('XADD', KEYS[1], '*', 'p', ARGV[i])
end
return length + #ARGV - 1
