-- Deletes the leases that the member still holds. KEYS: lease, … ARGV: member.
for i = 1, #KEYS do
    if redis.call('GET', KEYS[i]) == ARGV[1] then
        redis.call('DEL', KEYS[i])
    end
end
return #KEYS
