-- What the scripts share; it is put before each of them.
--
--   presence:leases              sorted set   gateway → when its lease ends
--   presence:attachments         hash         gateway → its present attachment; an older one may not write
--   presence:gateway:<gateway>   hash         connection → user, of what the gateway reported
--   presence:gone                list         hashes like that, of gateways that left or attached again, to be worked off
--   presence:due                 sorted set   user → when a connection that left ceases to count
--   presence:user:<user>         hash         c:<connection> → status, or status@when it left; shown, seen, version
--   presence:changes             channel      JSON: [[user, status, seen, version] …]
--
-- A connection that left goes on counting for the grace time: who comes back within it was never gone. Times are
-- milliseconds. A user is tenant/id. The keys are computed, so all of it lives on one server.
-- ARGV: now (0: the server's clock), grace.
local now, grace = tonumber(ARGV[1]), tonumber(ARGV[2])
if now == 0 then
    local time = redis.call('TIME')
    now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local RANK = {away = 1, online = 2, dnd = 3}
local REMEMBERED_SECONDS = 90 * 24 * 3600
local changed = {}

local function whole(number)
    return string.format('%.0f', number)
end

-- Works out what a user shows and notes it when that changed.
local function refresh(user)
    local key = 'presence:user:' .. user
    local fields, own = redis.call('HGETALL', key), {}
    local best, due, left_last = nil, nil, nil
    for i = 1, #fields, 2 do
        local name, value = fields[i], fields[i + 1]
        if string.sub(name, 1, 2) == 'c:' then
            local status, left = string.match(value, '^(%a+)@?(%d*)$')
            left = tonumber(left)
            if left and left + grace <= now then
                redis.call('HDEL', key, name)
                left_last = math.max(left_last or 0, left)
            else
                if not best or RANK[status] > RANK[best] then
                    best = status
                end
                if left then
                    due = math.min(due or left + grace, left + grace)
                end
            end
        else
            own[name] = value
        end
    end
    if due then
        redis.call('ZADD', 'presence:due', whole(due), user)
    else
        redis.call('ZREM', 'presence:due', user)
    end
    local shown = best or 'offline'
    if shown == (own.shown or 'offline') then
        return
    end
    local seen = ''
    if best then
        redis.call('HDEL', key, 'seen')
        redis.call('PERSIST', key)
    else
        seen = whole(left_last or now)
        redis.call('HSET', key, 'seen', seen)
        redis.call('EXPIRE', key, REMEMBERED_SECONDS)
    end
    redis.call('HSET', key, 'shown', shown)
    local version = redis.call('HINCRBY', key, 'version', 1)
    changed[#changed + 1] = {user, shown, seen, whole(version)}
end

-- Lets a connection that left count for the grace time.
local function leave(user, connection)
    local key, field = 'presence:user:' .. user, 'c:' .. connection
    local status = redis.call('HGET', key, field)
    if status and not string.find(status, '@', 1, true) then
        redis.call('HSET', key, field, status .. '@' .. whole(now))
        local due = redis.call('ZSCORE', 'presence:due', user)
        if not due or tonumber(due) > now + grace then
            redis.call('ZADD', 'presence:due', whole(now + grace), user)
        end
    end
end

-- Puts what a gateway reported aside, to be worked off.
local function put_aside(gateway)
    local key = 'presence:gateway:' .. gateway
    if redis.call('EXISTS', key) == 1 then
        local aside = 'presence:gone:' .. gateway .. ':' .. whole(redis.call('INCR', 'presence:asides'))
        redis.call('RENAME', key, aside)
        redis.call('RPUSH', 'presence:gone', aside)
    end
end

local function publish()
    if #changed > 0 then
        redis.call('PUBLISH', 'presence:changes', cjson.encode(changed))
    end
    return #changed
end
