-- Takes entries off a stream. Answers how many were still there.
-- KEYS: stream, size. ARGV: id and payload bytes of each entry.
local ALLOWANCE = 64
local count, freed = 0, 0
for i = 1, #ARGV, 2 do
    if redis.call('XDEL', KEYS[1], ARGV[i]) == 1 then
        count, freed = count + 1, freed + tonumber(ARGV[i + 1]) + ALLOWANCE
    end
end
if redis.call('XLEN', KEYS[1]) == 0 then
    redis.call('DEL', KEYS[2])
else
    redis.call('DECRBY', KEYS[2], freed)
end
return count
