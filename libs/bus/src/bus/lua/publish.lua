-- Appends payloads to streams and keeps each within its bounds: refuses all of a stream's, or lets its oldest entries go.
-- All streams in one call, so that a follower that waits is woken once. Answers each stream's length, -1 where it refused.
-- The bytes are counted here and in acknowledge.lua, with the same allowance per entry.
-- KEYS: stream and size of each topic. ARGV, of each topic: refuse or trim, most entries, most bytes, idle seconds (0: for ever),
-- how many payloads, payload …
local ALLOWANCE = 64

-- Lets the oldest entries go until the bounds are kept; what was just added stays, whatever its size. Looking at an entry copies it,
-- and mostly as many must go as came: so no more are looked at, unless that was not enough.
local function trim(stream, size, length, held, fresh, most_entries, most_bytes)
    local before, looks = held, math.min(16, fresh)
    while (length > most_entries or held > most_bytes) and length > fresh do
        local gone = {}
        for _, entry in ipairs(redis.call('XRANGE', stream, '-', '+', 'COUNT', math.min(looks, length - fresh))) do
            if length > most_entries or held > most_bytes then
                gone[#gone + 1] = entry[1]
                length, held = length - 1, held - #entry[2][2] - ALLOWANCE
            end
        end
        redis.call('XDEL', stream, unpack(gone))
        looks = math.min(16, 2 * looks)
    end
    if held < before then
        redis.call('DECRBY', size, before - math.max(held, 0))
    end
    return length
end

local lengths, at = {}, 1
for key = 1, #KEYS, 2 do
    local stream, size, entries = KEYS[key], KEYS[key + 1], tonumber(ARGV[at + 4])
    local most_entries, most_bytes, idle = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
    local first, last, bytes = at + 5, at + 4 + entries, 0
    for i = first, last do
        bytes = bytes + #ARGV[i] + ALLOWANCE
    end
    local length = redis.call('XLEN', stream)
    if length == 0 then
        redis.call('DEL', size)
    end
    local held = redis.call('INCRBY', size, bytes)
    if ARGV[at] == 'refuse' and (length + entries > most_entries or held > most_bytes) then
        redis.call('DECRBY', size, bytes)
        length = -1
    else
        for i = first, last do
            redis.call('XADD', stream, '*', 'p', ARGV[i])
        end
        length = length + entries
        if length > most_entries or held > most_bytes then
            length = trim(stream, size, length, held, entries, most_entries, most_bytes)
        end
        if idle > 0 then
            redis.call('EXPIRE', stream, idle)
            redis.call('EXPIRE', size, idle)
        end
    end
    lengths[#lengths + 1], at = length, last + 1
end
return lengths
