-- Updates users that have connections with an expired grace period. Returns how many.
-- ARGV: …, maximum number of users.
local users = redis.call('ZRANGEBYSCORE', 'presence:due', '-inf', whole(now), 'LIMIT', 0, ARGV[3])
for _, user in ipairs(users) do
    refresh(user)
end
publish()
return #users
