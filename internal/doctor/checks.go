package doctor

import "context"

// A check is one line of the table. To add one, write its function and its
// line: options, output and documentation follow from the table.
type check struct {
	name  string           // lower case; what --only and --skip call it
	about string           // what it looks at, for help
	mqtt  bool             // has no meaning for another protocol
	when  func(*exam) bool // nil: always; else it is left out without a word
	needs []string         // checks of which none may have failed
	does  func(context.Context, *exam) Result
}

// checks is the table, in the order in which they are done.
func checks() []check {
	carried := []string{"dns", "tcp", "proxy", "tls", "websocket"}
	on := func(name, about string, does func(context.Context, *exam) Result) check {
		return check{name: name, about: about, mqtt: true, needs: carried, does: func(ctx context.Context, x *exam) Result {
			if r := x.settle(ctx); r.Verdict != "" {
				return r
			}
			return does(ctx, x)
		}}
	}
	return []check{
		{name: "dns", about: "the addresses of the host, IPv4 and IPv6", does: checkDNS},
		{name: "tcp", about: "a connection to each address, or to the Unix socket", needs: carried[:1], does: checkTCP},
		{name: "proxy", about: "the way through the SOCKS5 proxy (with --proxy)", when: func(x *exam) bool { return x.Dial.Proxy != "" }, does: checkProxy},
		{name: "tls", about: "versions, certificate, names, dates, chain, client certificate", needs: carried[:3], does: checkTLS},
		{name: "websocket", about: "the upgrade to WebSocket and its subprotocol", needs: carried[:4], does: checkWebSocket},
		{name: "login", about: "the login of a device (of emqtcp://, text:// and mqttsn://)", when: func(x *exam) bool { return x.Device != nil }, needs: carried, does: checkLogin},
		{name: "connect5", about: "CONNECT in MQTT 5.0", mqtt: true, needs: carried, does: checkConnect5},
		{name: "connect311", about: "CONNECT in MQTT 3.1.1", mqtt: true, needs: carried, does: checkConnect311},
		{name: "connect31", about: "CONNECT in MQTT 3.1", mqtt: true, needs: carried, does: checkConnect31},
		on("limits", "what CONNACK states: receive maximum, QoS, sizes and so on", checkLimits),
		on("qos0", "messages at QoS 0 there and back", checkQoS(0)),
		on("qos1", "messages at QoS 1 there and back", checkQoS(1)),
		on("qos2", "messages at QoS 2 there and back, each once", checkQoS(2)),
		on("retained", "a retained message is kept, replayed and removed", checkRetained),
		on("wildcards", "subscriptions with + and #", checkWildcards),
		on("sys", "whether $SYS can be read", checkSys),
		on("shared", "a shared subscription of two: each message to one", checkShared),
		on("session", "a session that outlives its connection", checkSession),
		on("will", "the will of a connection that breaks", checkWill),
		on("properties", "user properties and their order", checkProperties),
		on("packet", "the longest packet, up to a bound", checkPacket),
		on("topic", "the longest topic", checkTopic),
		on("id", "the longest client identifier, up to a bound, and an empty one", checkID),
	}
}

// About says what each check looks at, in their order.
func About() [][2]string {
	var all [][2]string
	for _, k := range checks() {
		all = append(all, [2]string{k.name, k.about})
	}
	return all
}
