-- Reads entries after a cursor of each stream, oldest first, without blocking and within a bound of bytes.
-- ARGV: entry bound of each stream, byte bound of all streams together, then name and cursor of each stream. The streams are not
-- KEYS, because a server requires that the caller may write those, and a follower may only read the streams.
-- The first entry of all is returned whatever its size. Once the byte bound is reached, the remaining streams return nothing.
-- Returns for each stream {1 if nothing is left after the entries, else 0; entry; …}, with entries as XRANGE returns them.
local most, room, answer = tonumber(ARGV[1]), tonumber(ARGV[2]), {}
local read, read_bytes = 0, 0
for i = 3, #ARGV, 2 do
    local found, cursor, full, ended = {0}, '(' .. ARGV[i + 1], room <= 0, false
    while not full and not ended do
        -- XRANGE copies what it reads, so no more is read than is likely to fit.
        local likely = read > 0 and math.floor(room * read / math.max(read_bytes, 1)) or 1
        local count = math.min(most + 1 - #found, math.max(likely, 1), 16)
        local entries = redis.call('XRANGE', ARGV[i], cursor, '+', 'COUNT', count)
        for _, entry in ipairs(entries) do
            local bytes = #entry[2][2]
            full = full or (bytes > room and read > 0)
            if not full then
                room, read, read_bytes, cursor = room - bytes, read + 1, read_bytes + bytes, '(' .. entry[1]
                found[#found + 1] = entry
            end
        end
        ended = not full and #entries < count
        full = full or #found > most
    end
    found[1] = ended and 1 or 0
    answer[#answer + 1] = found
end
return answer
