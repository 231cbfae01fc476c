"""Defines the Redis user of each process: the commands, keys and channels that its work needs, and no others.

A parenthesised selector grants its commands on its keys alone. Scripts are checked twice: their keys when they are called, and
each command when they run it. docs/operations.md and the development overlay repeat these rules; tests compare them.
"""

_PROBE = "(~bus:probe +set)"
_SESSION = "resetchannels -@all +hello +auth +ping +select +info|server +time +script|load +client|setinfo"

RULES = {
    "gateway": (
        f"{_SESSION} {_PROBE} &bus:signal:* +multi +exec +subscribe +publish"
        " (~bus:commands.* ~bus:size:commands.* ~bus:revocations ~bus:size:revocations +evalsha)"
        " (~bus:commands.* ~bus:revocations +xlen +xadd) (~bus:revocations +xrange +xtrim)"
        " (~bus:size:commands.* ~bus:size:revocations +set +incrby +decrby)"
        " (%R~bus:events.* %R~bus:replies.* %R~bus:revocations +xread +xrange +xinfo|stream)"
        " (~bus:replies.* ~bus:size:replies.* +expire) (~bus:epoch +evalsha +get +set)"
        " (~bus:gateways ~bus:gateways:since ~bus:gateways:addresses +evalsha) (~bus:gateways:since +hmget +hset)"
        " (~bus:gateways +zrange +zremrangebyscore +zadd +zrem) (~bus:gateways:addresses +hset +hget +hdel)"
        " (~bus:acknowledged:* +sadd +expire) (~bus:value:* +set +getdel)"
    ),
    "messages-api": (
        f"{_SESSION} {_PROBE}"
        " (~bus:events.* ~bus:size:events.* ~bus:revocations ~bus:size:revocations +evalsha)"
        " (~bus:events.* ~bus:revocations +xlen +xadd +xrange +xtrim)"
        " (~bus:size:events.* ~bus:size:revocations +set +incrby +decrby)"
        " (~bus:gateways ~bus:gateways:since ~bus:acknowledged:* +evalsha)"
        " (~bus:gateways:since +hmget +hset) (%R~bus:gateways +zrange) (%R~bus:acknowledged:* +sismember)"
    ),
    "messages-worker": (
        f"{_SESSION} {_PROBE}"
        " (~bus:commands.* ~bus:events.* ~bus:replies.* ~bus:rejected ~bus:size:* ~bus:members:* ~bus:lease:* +evalsha)"
        " (~bus:events.* ~bus:replies.* ~bus:rejected +xlen +xadd +xrange +xtrim) (~bus:replies.* ~bus:size:replies.* +expire)"
        " (~bus:commands.* +xlen +xread +xrange +xdel) (~bus:size:* +set +incrby +decrby +del)"
        " (~bus:members:* +hset +hgetall +hdel +pexpire) (~bus:lease:* +get +set +del +pexpire)"
    ),
    "messages-search": (
        f"{_SESSION} {_PROBE} +multi +exec"
        " (~bus:members:search.* ~bus:lease:search.* %R~bus:events.* ~bus:epoch +evalsha)"
        " (~bus:members:search.* +hset +hgetall +hdel +pexpire) (~bus:lease:search.* +get +set +del +pexpire)"
        " (%R~bus:events.* +xlen +xread +xrange +xinfo|stream) (~bus:epoch +get +set)"
    ),
    "messages-feed": (
        f"{_SESSION} {_PROBE} +multi +exec"
        " (~bus:members:feed.* ~bus:lease:feed.* %R~bus:events.* ~bus:epoch +evalsha)"
        " (~bus:members:feed.* +hset +hgetall +hdel +pexpire) (~bus:lease:feed.* +get +set +del +pexpire)"
        " (%R~bus:events.* +xlen +xread +xrange +xinfo|stream) (~bus:epoch +get +set)"
    ),
    "presence": (
        f"{_SESSION} &presence:changes +subscribe +unsubscribe +publish ~presence:* +evalsha"
        " +set +exists +expire +persist +rename +incr +hset +hget +hmget +hgetall +hdel +hexists +hincrby +hscan +lindex"
        " +lpop +rpush +zadd +zrem +zscore +zrangebyscore"
    ),
}
"""The rules of each user, whose name is the process's."""
