-- Appends payloads to streams and keeps each within its bounds: refuses all of a stream's, or lets its oldest entries go. Then,
-- unless a stream refused, takes entries off others: what was done about them has just been published.
-- All in one call, so that it happens as one, and a follower that waits is woken once. Answers the length of each stream that was
-- appended to, -1 where it refused.
-- KEYS: stream and size of each topic, first those to append to. ARGV: how many these are; of each of them: refuse or trim, most
-- entries, most bytes, idle seconds (0: for ever), how many payloads, payload …; of each other: how many entries, and of each of
-- them its id and the bytes of its payload.
local ALLOWANCE = 64

-- Lets the oldest entries go until the bounds are kept with a 256th of them to spare, so that those who publish next find room; what
-- was just added stays, whatever its size. Looking at an entry copies it: no more are looked at than must go if all are alike.
local function trim(stream, size, length, held, fresh, most_entries, most_bytes)
    local before = held
    most_entries, most_bytes = math.ceil(most_entries * 255 / 256), math.ceil(most_bytes * 255 / 256)
    while (length > most_entries or held > most_bytes) and length > fresh do
        local surplus = math.max(length - most_entries, math.ceil((held - most_bytes) * length / held))
        local oldest = redis.call('XRANGE', stream, '-', '+', 'COUNT', math.min(16, surplus, length - fresh))
        for _, entry in ipairs(oldest) do
            if length > most_entries or held > most_bytes then
                length, held = length - 1, held - #entry[2][2] - ALLOWANCE
            end
        end
        redis.call('XTRIM', stream, 'MAXLEN', length)
    end
    if held < before then
        redis.call('DECRBY', size, before - math.max(held, 0))
    end
    return length
end

local lengths, refused, at = {}, false, 2
local appended = 2 * tonumber(ARGV[1])
for key = 1, appended, 2 do
    local stream, size, entries = KEYS[key], KEYS[key + 1], tonumber(ARGV[at + 4])
    local most_entries, most_bytes, idle = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
    local first, last, bytes = at + 5, at + 4 + entries, 0
    for i = first, last do
        bytes = bytes + #ARGV[i] + ALLOWANCE
    end
    local length = redis.call('XLEN', stream)
    local held = bytes -- either call is refused where memory has run out, and with it the whole script: nothing is written before
    if length == 0 then
        redis.call('SET', size, bytes)
    else
        held = redis.call('INCRBY', size, bytes)
    end
    if ARGV[at] == 'refuse' and (length + entries > most_entries or held > most_bytes) then
        redis.call('DECRBY', size, bytes)
        length, refused = -1, true
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
if refused then
    return lengths
end

for key = appended + 1, #KEYS, 2 do
    local stream, size, last, freed = KEYS[key], KEYS[key + 1], at + 2 * tonumber(ARGV[at]), 0
    for i = at + 1, last, 2 do
        if redis.call('XDEL', stream, ARGV[i]) == 1 then
            freed = freed + tonumber(ARGV[i + 1]) + ALLOWANCE
        end
    end
    if redis.call('XLEN', stream) == 0 then
        redis.call('DEL', size)
    else
        redis.call('DECRBY', size, freed)
    end
    at = last + 1
end
return lengths
