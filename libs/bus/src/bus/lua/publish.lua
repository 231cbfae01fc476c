-- Appends payloads to streams within their bounds: a stream at its bound refuses its part of the batch or trims its oldest entries.
-- Then, unless a stream refused, deletes the acknowledged entries from their streams.
-- Price: the keys of several topics in one call, so Redis Cluster would need them in one hash slot. Gain: results and
-- acknowledgements take effect together, in one round trip and one wake-up of each blocked follower (docs/adr/0009, 0010).
-- tests/test_round_trips.py guards the number of server reads and of trims, tests/test_publish.py the bounds.
-- Returns the new length of each appended stream, -1 where it refused.
-- KEYS: stream and size counter of each topic; the topics to append to come first.
-- ARGV: number of topics to append to; for each: refuse or trim, entry bound, byte bound, idle seconds (0: never expires),
-- number of payloads, payload, …; for each other topic: number of entries, then id and payload bytes of each entry.
local ENTRY_OVERHEAD_BYTES = 64

-- Trims the oldest entries until 1/256 of each bound is free, so that the next publishers need not trim. Entries appended by this
-- call always stay. XRANGE copies the entries it reads, so no more are read than must go if all have the same size.
local function trim(stream, size, length, held, fresh, most_entries, most_bytes)
    local before = held
    most_entries, most_bytes = math.ceil(most_entries * 255 / 256), math.ceil(most_bytes * 255 / 256)
    while (length > most_entries or held > most_bytes) and length > fresh do
        local surplus = math.max(length - most_entries, math.ceil((held - most_bytes) * length / held))
        local oldest = redis.call('XRANGE', stream, '-', '+', 'COUNT', math.min(16, surplus, length - fresh))
        for _, entry in ipairs(oldest) do
            if length > most_entries or held > most_bytes then
                length, held = length - 1, held - #entry[2][2] - ENTRY_OVERHEAD_BYTES
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
        bytes = bytes + #ARGV[i] + ENTRY_OVERHEAD_BYTES
    end
    local length = redis.call('XLEN', stream)
    local held = bytes
    -- Without memory the server refuses SET and INCRBY, and so the whole script, before anything is written.
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
            freed = freed + tonumber(ARGV[i + 1]) + ENTRY_OVERHEAD_BYTES
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
