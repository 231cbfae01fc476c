-- Shared by all scripts: it is prepended to each of them.
--
--   presence:leases              sorted set   gateway → end of its lease
--   presence:attachments         hash         gateway → current attachment; reports of older ones are refused
--   presence:gateway:<gateway>   hash         connection → user, as reported by the gateway
--   presence:gone                list         keys of such hashes, detached from gateways that left or attached again
--   presence:due                 sorted set   user → end of the earliest grace period of a closed connection
--   presence:user:<user>         hash         c:<connection> → status, or status@time of closing; shown, seen, version
--   presence:changes             channel      JSON: [[user, status, seen, version] …]
--
-- A closed connection counts until its grace period ends, so a reconnect within it does not change the presence. Times are
-- milliseconds. A user is tenant/id. The scripts compute keys, so all state must be on one server.
-- ARGV: now (0: the server's clock), grace period.
local now, grace = tonumber(ARGV[1]), tonumber(ARGV[2])
if now == 0 then
    local time = redis.call('TIME')
    now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local RANK = {away = 1, online = 2, dnd = 3}
local RETENTION_SECONDS = 90 * 24 * 3600
local changed = {}

local function whole(number)
    return string.format('%.0f', number)
end

-- Computes a user's presence, and stores and records it if it changed.
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
        redis.call('EXPIRE', key, RETENTION_SECONDS)
    end
    redis.call('HSET', key, 'shown', shown)
    local version = redis.call('HINCRBY', key, 'version', 1)
    changed[#changed + 1] = {user, shown, seen, whole(version)}
end

-- Marks a connection as closed; it counts until its grace period ends.
local function disconnect(user, connection)
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

-- Detaches a gateway's connections, for disconnect_detached.lua.
local function detach(gateway)
    local key = 'presence:gateway:' .. gateway
    if redis.call('EXISTS', key) == 1 then
        local detached = 'presence:gone:' .. gateway .. ':' .. whole(redis.call('INCR', 'presence:asides'))
        redis.call('RENAME', key, detached)
        redis.call('RPUSH', 'presence:gone', detached)
    end
end

local function publish()
    if #changed > 0 then
        redis.call('PUBLISH', 'presence:changes', cjson.encode(changed))
    end
    return #changed
end
