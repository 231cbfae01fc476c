-- Returns the counters from which a follower detects missed entries.
-- KEYS: epoch. ARGV: a new epoch, used if there is none (a wipe removes it), then the streams: a server requires that the caller
-- may write all KEYS of a script, and a follower may only read the streams.
-- Returns the epoch, then for each stream nil or {entries ever added, length, first id or '', last generated id}.
local epoch = redis.call('GET', KEYS[1])
if not epoch then
    epoch = ARGV[1]
    redis.call('SET', KEYS[1], epoch)
end
local answer = {epoch}
for i = 2, #ARGV do
    answer[i] = false
    local info = redis.pcall('XINFO', 'STREAM', ARGV[i])
    if not info.err then
        local field = {}
        for j = 1, #info, 2 do
            field[info[j]] = info[j + 1]
        end
        local first = field['first-entry']
        answer[i] = {field['entries-added'], field['length'], first and first[1] or '', field['last-generated-id']}
    end
end
return answer
