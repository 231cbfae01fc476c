-- Says what a follower needs to know whether it missed anything.
-- KEYS: epoch, stream … ARGV: a name for the epoch if there is none (a wipe took it with everything else).
-- Answers the epoch, then for each stream nil or {entries ever added, entries it holds, first id or '', last id ever given}.
local epoch = redis.call('GET', KEYS[1])
if not epoch then
    epoch = ARGV[1]
    redis.call('SET', KEYS[1], epoch)
end
local answer = {epoch}
for i = 2, #KEYS do
    answer[i] = false
    local info = redis.pcall('XINFO', 'STREAM', KEYS[i])
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
