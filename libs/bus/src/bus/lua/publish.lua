-- Appends payloads to a stream and keeps it within its bounds: refuses all of them (answers -1), or lets the oldest entries go.
-- Answers the stream's length. The bytes are counted here and in acknowledge.lua, with the same allowance per entry.
-- KEYS: stream, size. ARGV: refuse or trim, most entries, most bytes, idle seconds (0: for ever), payload …
local stream, size = KEYS[1], KEYS[2]
local most_entries, most_bytes, idle = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local ALLOWANCE = 64

local entries, bytes = #ARGV - 4, 0
for i = 5, #ARGV do
    bytes = bytes + #ARGV[i] + ALLOWANCE
end
local length = redis.call('XLEN', stream)
local held = length > 0 and tonumber(redis.call('GET', size) or 0) or 0
if ARGV[1] == 'refuse' and (length + entries > most_entries or held + bytes > most_bytes) then
    return -1
end
for i = 5, #ARGV do
    redis.call('XADD', stream, '*', 'p', ARGV[i])
end
length, held = length + entries, held + bytes

-- What was just added stays, whatever its size.
while (length > most_entries or held > most_bytes) and length > entries do
    local gone = {}
    for _, entry in ipairs(redis.call('XRANGE', stream, '-', '+', 'COUNT', math.min(16, length - entries))) do
        if length > most_entries or held > most_bytes then
            gone[#gone + 1] = entry[1]
            length, held = length - 1, held - #entry[2][2] - ALLOWANCE
        end
    end
    redis.call('XDEL', stream, unpack(gone))
end

redis.call('SET', size, string.format('%.0f', math.max(held, 0)))
if idle > 0 then
    redis.call('EXPIRE', stream, idle)
    redis.call('EXPIRE', size, idle)
end
return length
