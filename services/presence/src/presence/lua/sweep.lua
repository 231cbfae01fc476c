-- Works out anew what users show whose connections cease to count by now. Answers how many it looked at.
-- ARGV: …, how many at most.
local users = redis.call('ZRANGEBYSCORE', 'presence:due', '-inf', whole(now), 'LIMIT', 0, ARGV[3])
for _, user in ipairs(users) do
    refresh(user)
end
publish()
return #users
