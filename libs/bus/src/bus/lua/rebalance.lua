-- A group member's heartbeat: renews the member and its leases, and takes free leases up to its fair share.
-- KEYS: members, then the lease of each topic. ARGV: member, lease in milliseconds, 1 on the member's first heartbeat, then the
-- stream of each topic: not KEYS, because a server requires that the caller may write those, and a reader may only read the streams.
-- A member is named consumer:token. On its first heartbeat it takes over from earlier members of its consumer, which must be dead.
-- Returns the member's fair share, then for each topic its backlog if the member holds the lease, else -1.
local member, lease = ARGV[1], tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function takes_over(other)
    local suffix = #':0123456789abcdef'
    return ARGV[3] == '1' and other ~= member and string.sub(other, 1, -suffix - 1) == string.sub(member, 1, -suffix - 1)
end

redis.call('HSET', KEYS[1], member, now + lease)
redis.call('PEXPIRE', KEYS[1], lease * 10)
local alive, expiry = {}, redis.call('HGETALL', KEYS[1])
for i = 1, #expiry, 2 do
    if tonumber(expiry[i + 1]) < now or takes_over(expiry[i]) then
        redis.call('HDEL', KEYS[1], expiry[i])
    else
        alive[#alive + 1] = expiry[i]
    end
end

-- All members sort the same names, so the shares add up to the number of topics.
table.sort(alive)
local topics, share = #KEYS - 1, 0
for rank = 1, #alive do
    if alive[rank] == member then
        share = math.floor(topics / #alive) + (rank <= topics % #alive and 1 or 0)
    end
end

local held, free, answer = 0, {}, {share}
for i = 1, topics do
    local owner = redis.call('GET', KEYS[i + 1])
    answer[i + 1] = -1
    if owner == member then
        redis.call('PEXPIRE', KEYS[i + 1], lease)
        answer[i + 1] = redis.call('XLEN', ARGV[i + 3])
        held = held + 1
    elseif not owner or takes_over(owner) then
        free[#free + 1] = i
    end
end
for _, i in ipairs(free) do
    if held < share then
        redis.call('SET', KEYS[i + 1], member, 'PX', lease)
        answer[i + 1] = redis.call('XLEN', ARGV[i + 3])
        held = held + 1
    end
end
return answer
