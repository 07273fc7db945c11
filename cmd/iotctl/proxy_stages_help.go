package main

// proxyStagesHelp describes the sections of the proxy's configuration file that change
// and refuse packets. They act in this order on what clients send.
const proxyStagesHelp = `
WHO MAY DO WHAT

  access:
    rules:                  # the first that speaks of it decides
      - allow connect address=10.0.0.0/8
      - deny connect
      - allow publish topic=up/%c/#
      - deny publish client=sensor-*
      - deny subscribe receive topic=secret/# user=guest
    default: allow          # what no rule speaks of: allow or deny
    refused: acknowledge    # 3.x, a message: acknowledge (and drop it) or close

A rule is allow or deny, then connect, publish, subscribe, receive or all, then
client=, user= (with * and ?), address= (one or a network) and topic= (a filter, with
%c and %u for the client's identifier and user name as whole levels). User names are
what clients say; the broker checks passwords. With file: an access control file as
mosquitto's is asked for topics that no rule speaks of.

A subscription is decided by rules whose filter covers all of it. What is denied for
receive is kept back at delivery, and acknowledged to the broker.

Refused clients get CONNACK 5 (3.x) or 0x87 (5.0), filters SUBACK 0x80 or 0x87, and
messages PUBACK or PUBREC 0x87 in 5.0.

LIMITS

  limits:
    connections_per_address: 100
    connect_rate: {rate: 100/s, over: delay}
    connect_rate_per_address: {rate: 10/m, over: disconnect}
    publish:                # what a client sends
      messages: {rate: 100/s, over: drop}
      bytes: {rate: 64KB/s, over: delay}
      packet_size: {most_bytes: 256KB, over: disconnect}
      in_flight: {most: 20, over: delay}
    deliver:                # what a client gets
      messages: {rate: 1000/s}

over is delay, drop or disconnect; a CONNECT waits for 20s at most. What is dropped is
acknowledged: with 0x97 to clients of 5.0, as if all were well to others and to the
broker. Connections end with 0x96 (rate), 0x95 (size) or 0x93 (in flight), and are
refused with 0x97 or 0x9F.

REWRITING

  rewrite:
    topics:
      strip: plant/         # the client's names alone begin with it
      map:
        - {from: "line/([^/]+)/(.*)", to: "$1/$2"}
      prefix: tenants/%u/   # the broker's names alone begin with it
    client_id: site1-%c
    credentials: {username: gateway, password_env: BROKER_PASSWORD}
    publish: {max_qos: 1, retain: strip}
    deliver: {min_qos: 0}
    keep_alive: 60s         # the broker's; the proxy pings where the client does not
    session_expiry: 1h      # at most, 5.0
    user_properties:        # 5.0
      - {direction: c2s, types: [PUBLISH, WILL], name: site, value: "1"}
      - {direction: s2c, name: internal, remove: true}

Topics are changed both ways: in PUBLISH, wills, response topics, SUBSCRIBE and
UNSUBSCRIBE. Those that begin with $ are the same on both sides; $share/group/ stays
in front, as do $queue/, $exclusive/ and $delayed/seconds/. The way back of an
expression follows from it where its groups are like (.*), (.+) and ([^/]+); otherwise
give back and back_to. What has no name on the other side is refused: a message with
0x90, a filter with 0x8F (3.x: 0x80), among them filters with wildcards that an
expression is about in part, and what would come back under another name.

Where the QoS changes, the proxy completes the exchanges with both sides; what comes with
QoS 0 gets 1 at most where the session outlives the connection. The password comes from
password_file or the environment. Where it takes the place of the client's, nobody checks
the names that the client gives: %u and %c are then what anybody may say.

TRANSLATION

  translate:
    to: "3.1.1"             # what brokers are spoken to in: 3.1, 3.1.1 or 5.0
    failures: swallow       # what a client of 3.x notices of a failing PUBACK, or close
    no_local: ignore        # or refuse
    topic_aliases: 16       # that clients of 5.0 may use
    subscriptions: 1000     # that are remembered for each client of 5.0
    expiries: 0             # messages whose expiry interval is remembered for 5.0
    hold_bytes: 1MB         # held back for a receive maximum

What 5.0 has and 3.x has not is done by the proxy: aliases, receive maximum, maximum
packet size, subscription identifiers, retain handling (1 and 2 nearly so), server
keep alive, assigned client identifiers; a clean start of a session that is to last
connects twice. Other properties are left out and counted. AUTH is refused with 0x8C,
and the will delay is none. A DISCONNECT with another code than 0 drops the connection
to the broker, so that the will is published.
`
