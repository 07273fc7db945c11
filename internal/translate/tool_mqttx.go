package translate

import (
	"slices"
	"strconv"
	"strings"
)

func mqttxTools() []*tool {
	plain := slices.Concat(mqttxConnect("-i --client-id"), mqttxClient())
	load := slices.Concat(mqttxConnect("-I --client-id"), mqttxLoad())
	return []*tool{
		{name: "mqttx conn", to: "doctor", begin: mqttxBegin, end: mqttxConnEnd, rows: slices.Concat(plain, mqttxWill(false), []row{
			{names: "-up --user-properties", takes: several, as: func(c *call, v string) { c.user("connect", v, ": ") }},
		})},
		{name: "mqttx pub", to: "pub", begin: mqttxBegin, end: mqttxPubEnd, rows: slices.Concat(plain, mqttxWill(true), mqttxMessage(), mqttxUser("publish"), mqttxSchema(), []row{
			{names: "-t --topic", takes: value, to: "-t"},
			{names: "-m --message", takes: value, as: func(*call, string) {}},
			{names: "-q --qos", takes: value, to: "-q"},
			{names: "-r --retain", to: "-r"},
			{names: "-s --stdin"},
			{names: "-M --multiline"},
			{names: "-lm --line-mode"},
			{names: "-f --format", takes: value, as: mqttxFormat},
			{names: "--file-read", takes: value},
			{names: "-S --payload-size", takes: value},
		})},
		{name: "mqttx sub", to: "sub", begin: mqttxBegin, end: mqttxSubEnd, rows: slices.Concat(plain, mqttxWill(true), mqttxFilters(), mqttxUser("subscribe"), mqttxSchema(), []row{
			{names: "-f --format", takes: value, as: mqttxFormat},
			{names: "-v --verbose", to: "-v", note: "-v prints topic and payload; -o json shows all there is of a message"},
			{names: "--output-mode", takes: value, as: func(c *call, v string) {
				if v == "clean" {
					c.add("-o", "json")
					c.differs("--output-mode clean: the members of the JSON have other names; iotctl help formats lists them")
				}
			}},
			{names: "--file-write", takes: value, as: func(c *call, v string) { c.behind = " >> " + Quote(v) }},
			{names: "--file-save", takes: value, note: "there is no file per message; iotctl record keeps all of them in one"},
			{names: "--delimiter", takes: optional, note: "a message ends with a newline, or with nothing (-N)"},
		})},
		{name: "mqttx bench conn", to: "bench conn", begin: mqttxBegin, end: mqttxBenchEnd, rows: slices.Concat(load, mqttxLoadWill(), []row{
			{names: "-up --user-properties", takes: several, note: noBenchProperty},
		})},
		{name: "mqttx bench pub", to: "bench pub", begin: mqttxBegin, end: mqttxBenchEnd, rows: slices.Concat(load, mqttxLoadWill(), mqttxLoadPub(), []row{
			{names: "-m --message", takes: value, note: noBenchPayload},
			{names: "--file-read", takes: value, note: noBenchPayload},
			{names: "--split", takes: optional, note: noBenchPayload},
			{names: "-S --payload-size", takes: value, as: func(c *call, v string) {
				if n, ok := bytesOf(v); ok {
					c.add("-s", strconv.Itoa(max(n, leastBenchPayload)))
				} else {
					c.differs("--payload-size %s: is no size like 512B or 1KB", visible(v))
				}
			}},
		})},
		{name: "mqttx bench sub", to: "bench sub", begin: mqttxBegin, end: mqttxBenchEnd, rows: slices.Concat(load, mqttxLoadWill(), []row{
			{names: "-t --topic", takes: several, as: func(c *call, v string) {
				if c.has("-t") {
					c.differs("--topic %s: one topic template at a time", visible(v))
					return
				}
				c.add("-t", v)
			}},
			{names: "-q --qos", takes: several, as: func(c *call, v string) { c.drop("-q"); c.add("-q", v) }},
			{names: "-nl --no_local", takes: optional, note: noBenchProperty},
			{names: "-rap --retain-as-published", takes: optional, note: noBenchProperty},
			{names: "-rh --retain-handling", takes: several, note: noBenchProperty},
			{names: "-si --subscription-identifier", takes: several, note: noBenchProperty},
			{names: "-up --user-properties", takes: several, note: noBenchProperty},
			{names: "-Cup --conn-user-properties", takes: several, note: noBenchProperty},
			{names: "-v --verbose", idle: true, note: "there is a line per second in any case"},
		})},
		{name: "mqttx simulate", to: "bench pub", begin: mqttxBegin, end: mqttxBenchEnd, rows: slices.Concat(load, mqttxLoadWill(), mqttxLoadPub(), []row{
			{names: "-sc --scenario", takes: value, note: noBenchPayload + "; iotctl pub generates some for one client"},
			{names: "-f --file", takes: value, note: "no scripts are run; iotctl pub generates payloads for one client"},
		})},
	}
}

const (
	noBenchProperty = "clients of bench have no such property"
	noBenchPayload  = "payloads of bench hold time and number, to measure and to count; -s says how long they are"
	noBenchWill     = "clients of bench have no will; iotctl bench will measures wills"
)

// mqttxConnect are the options that all its commands have; id is how this one
// spells the client identifier.
func mqttxConnect(id string) []row {
	bench := strings.HasPrefix(id, "-I")
	none := func(r row) row {
		if bench {
			r.as, r.note = nil, noBenchProperty
		}
		return r
	}
	to := "-i"
	if bench {
		to = "--id"
	}
	return []row{
		{names: "-V --mqtt-version", takes: value, as: func(c *call, v string) { c.drop("-V"); c.add("-V", v) }},
		{names: "-h --hostname", takes: value, to: "-h"},
		{names: "-p --port", takes: value, to: "-p"},
		{names: id, takes: value, to: to},
		{names: "-k --keepalive", takes: value, to: "-k"},
		{names: "-u --username", takes: value, to: "-u"},
		{names: "-P --password", takes: value, to: "-P", secret: true},
		{names: "-l --protocol", takes: value, as: func(*call, string) {}},
		{names: "--path", takes: value, as: func(*call, string) {}},
		{names: "-wh --ws-headers", takes: several, to: "--ws-header", as: func(c *call, v string) { c.add("--ws-header", v) }},
		{names: "--key", takes: value, to: "="},
		{names: "--cert", takes: value, to: "="},
		{names: "--ca", takes: value, to: "--cafile"},
		{names: "--insecure", to: "="},
		{names: "--alpn", takes: several, as: func(c *call, v string) {
			if c.has("--tls-alpn") {
				c.differs("--alpn %s: one protocol is offered, the first", visible(v))
				return
			}
			c.add("--tls-alpn", v)
		}},
		none(row{names: "--rcv-max --receive-maximum", takes: value, as: prop("connect", "receive-maximum")}),
		none(row{names: "--maximum-packet-size", takes: value, as: prop("connect", "maximum-packet-size")}),
		none(row{names: "--topic-alias-maximum", takes: value, as: prop("connect", "topic-alias-maximum")}),
		none(row{names: "--req-response-info", as: on("connect", "request-response-information", "1")}),
		none(row{names: "--no-req-problem-info", as: on("connect", "request-problem-information", "0")}),
		{names: "-so --save-options", takes: optional, note: "what is used often goes into a profile: iotctl profile"},
		{names: "-lo --load-options", takes: optional, note: "what it loads is not seen here; iotctl profile import reads such a file"},
		{names: "-am --authentication-method", takes: value, note: "there is no SCRAM here"},
		{names: "--help", to: "="},
	}
}

// mqttxClient are those of conn, pub and sub alone.
func mqttxClient() []row {
	return []row{
		{names: "--no-clean", to: "-c"},
		{names: "-se --session-expiry-interval", takes: value, to: "-x"},
		{names: "-rp --reconnect-period", takes: value, as: func(c *call, v string) {
			if v == "0" {
				c.drop("--reconnect")
				c.add("--reconnect", "never")
				return
			}
			c.advise("--reconnect-period: the pause between attempts grows by itself here")
		}},
		{names: "--maximum-reconnect-times", takes: value, as: func(c *call, v string) {
			if !c.has("--reconnect") {
				c.add("--reconnect", v)
			}
		}},
		{names: "--debug", to: "-d"},
	}
}

func mqttxUser(command string) []row {
	return []row{
		{names: "-up --user-properties", takes: several, as: func(c *call, v string) { c.user(command, v, ": ") }},
		{names: "-Cup --conn-user-properties", takes: several, as: func(c *call, v string) { c.user("connect", v, ": ") }},
	}
}

// mqttxWill are the options of wills; has is false where there is no will here.
func mqttxWill(has bool) []row {
	rows := []row{
		{names: "-Wt --will-topic", takes: value, to: "--will-topic"},
		{names: "-Wm --will-message", takes: value, to: "--will-payload"},
		{names: "-Wq --will-qos", takes: value, to: "--will-qos"},
		{names: "-Wr --will-retain", to: "--will-retain"},
		{names: "-Wd --will-delay-interval", takes: value, as: prop("will", "will-delay-interval")},
		{names: "-Wpf --will-payload-format-indicator", as: on("will", "payload-format-indicator", "1")},
		{names: "-We --will-message-expiry-interval", takes: value, as: prop("will", "message-expiry-interval")},
		{names: "-Wct --will-content-type", takes: value, as: prop("will", "content-type")},
		{names: "-Wrt --will-response-topic", takes: value, as: prop("will", "response-topic")},
		{names: "-Wcd --will-correlation-data", takes: value, as: prop("will", "correlation-data")},
		{names: "-Wup --will-user-properties", takes: several, as: func(c *call, v string) { c.user("will", v, ": ") }},
	}
	for i := range rows {
		if !has {
			rows[i].to, rows[i].as, rows[i].note = "", nil, "the connection is checked, and left again: no will is published"
		}
	}
	return rows
}

func mqttxLoadWill() []row {
	rows := mqttxWill(false)
	for i := range rows {
		rows[i].note = noBenchWill
	}
	return rows
}

// mqttxMessage are the properties of PUBLISH.
func mqttxMessage() []row {
	return []row{
		{names: "-d --dup", note: "a client marks what it repeats, and nothing else"},
		{names: "-pf --payload-format-indicator", as: on("publish", "payload-format-indicator", "1")},
		{names: "-e --message-expiry-interval", takes: value, as: prop("publish", "message-expiry-interval")},
		{names: "-ta --topic-alias", takes: value, as: prop("publish", "topic-alias")},
		{names: "-rt --response-topic", takes: value, as: prop("publish", "response-topic")},
		{names: "-cd --correlation-data", takes: value, as: prop("publish", "correlation-data")},
		{names: "-si --subscription-identifier", takes: value, note: "only a broker may send it"},
		{names: "-ct --content-type", takes: value, as: prop("publish", "content-type")},
	}
}

// mqttxFilters are the options of subscriptions.
func mqttxFilters() []row {
	return []row{
		{names: "-t --topic", takes: several, as: func(c *call, v string) { c.add("-t", v) }},
		{names: "-q --qos", takes: several, as: func(c *call, v string) { c.qosOf(v) }},
		{names: "-nl --no_local", takes: optional, idle: true, note: "iotctl sub publishes nothing that could come back"},
		{names: "-rap --retain-as-published", takes: optional, as: func(c *call, v string) {
			if v != "false" {
				c.add("--retain-as-published")
			}
		}},
		{names: "-rh --retain-handling", takes: several, as: func(c *call, v string) {
			if kind, ok := map[string]string{"0": "always", "1": "new", "2": "never"}[v]; ok && !c.has("--retain-handling") {
				c.add("--retain-handling", kind)
			}
		}},
		{names: "-si --subscription-identifier", takes: several, as: func(c *call, v string) {
			if c.given["subscription id"] != "" {
				c.differs("--subscription-identifier %s: one for all filters", visible(v))
				return
			}
			c.given["subscription id"] = v
			c.add("-D", "subscribe", "subscription-identifier", v)
		}},
	}
}

// qosOf takes one of several QoS: there is one for all filters, the highest.
func (c *call) qosOf(v string) {
	at := slices.IndexFunc(c.options, func(o option) bool { return o.name == "-q" })
	if at < 0 {
		c.add("-q", v)
		return
	}
	if old := c.options[at].values[0]; old != v {
		c.options[at].values[0] = max(old, v)
		c.differs("-q %s %s: there is one QoS for all filters, the highest", visible(old), visible(v))
	}
}

// mqttxSchema are files that describe payloads.
func mqttxSchema() []row {
	return []row{
		{names: "-Pp --protobuf-path", takes: value, as: func(*call, string) {}},
		{names: "-Pmn --protobuf-message-name", takes: value, as: func(*call, string) {}},
		{names: "-Ap --avsc-path", takes: value, as: func(c *call, v string) { c.add("--payload", "avro:"+v) }},
	}
}

func mqttxFormat(c *call, v string) {
	switch v {
	case "binary":
	case "base64", "json", "hex", "cbor", "msgpack":
		c.add("--payload", v)
	default:
		c.differs("--format %s: iotctl help payloads lists what there is", visible(v))
	}
}

// mqttxLoad are those of bench and simulate.
func mqttxLoad() []row {
	return []row{
		{names: "-c --count", takes: value, to: "-c"},
		{names: "-i --interval", takes: value, to: "-i"},
		{names: "--no-clean", as: func(c *call, _ string) { c.add("-C", "false") }},
		{names: "-se --session-expiry-interval", takes: value, to: "-x"},
		{names: "-rp --reconnect-period", takes: value, note: "a client of bench that is lost is counted, and does not come back"},
		{names: "--maximum-reconnect-times --maximun-reconnect-times", takes: value, note: "a client of bench that is lost is counted, and does not come back"},
	}
}

func mqttxLoadPub() []row {
	rows := []row{
		{names: "-im --message-interval", takes: value, to: "-I"},
		{names: "-L --limit", takes: value, to: "-L"},
		{names: "-t --topic", takes: value, as: func(c *call, v string) {
			c.add("-t", strings.ReplaceAll(v, "%sc", "simulate"))
		}},
		{names: "-q --qos", takes: value, to: "-q"},
		{names: "-r --retain", to: "-r"},
		{names: "-v --verbose", idle: true, note: "there is a line per second in any case"},
	}
	for _, r := range slices.Concat(mqttxMessage(), mqttxUser("publish")) {
		r.as = nil
		r.note = noBenchProperty
		rows = append(rows, r)
	}
	return rows
}

func mqttxBegin(c *call) { c.add("-V", "5") }

// mqttxTransport adds what --protocol means. Its ports are 1883 whatever that says.
func mqttxTransport(c *call) {
	protocol := c.given["-l"]
	switch protocol {
	case "", "mqtt", "mqtts", "ws", "wss":
	default:
		c.differs("--protocol %s: must be mqtt, mqtts, ws or wss", visible(protocol))
	}
	if protocol == "ws" || protocol == "wss" {
		c.add("--ws")
		if path := c.given["--path"]; path != "" && path != "/mqtt" {
			c.add("--ws-path", path)
		}
	} else {
		c.drop("--ws-header")
	}
	switch secure := protocol == "mqtts" || protocol == "wss"; {
	case secure && !c.has("--cafile"):
		c.add("--tls")
	case !secure:
		for _, name := range []string{"--cafile", "--cert", "--key", "--insecure", "--tls-alpn"} {
			if c.has(name) {
				c.drop(name)
				c.advise("%s is left out: without --protocol mqtts or wss there is no TLS", name)
			}
		}
	}
	if _, ok := c.given["-p"]; !ok && protocol != "" && protocol != "mqtt" {
		c.add("-p", "1883")
	}
}

func mqttxConnEnd(c *call) {
	c.drop("-c")
	c.drop("-x")
	c.drop("--reconnect")
	mqttxTransport(c)
	c.add("--only", "connect")
	c.differs("mqttx conn stays connected; iotctl doctor says whether the connection works, and ends")
}

// named drops a session that has no name: here one has to be given.
func (c *call) named() {
	if c.has("-c") && !c.has("-i") {
		c.drop("-c")
		c.differs("a session that stays needs a client identifier that stays the same: -i ID -c")
	}
}

func mqttxPubEnd(c *call) {
	mqttxTransport(c)
	c.named()
	c.protobuf()
	text, typed := c.given["-m"]
	_, lines := c.given["-M"]
	_, lineMode := c.given["-lm"]
	_, stdin := c.given["-s"]
	file, read := c.given["--file-read"]
	size, random := c.given["-S"]
	switch {
	case lineMode, stdin && lines:
		c.add("-l")
	case stdin:
		c.add("-s")
	case read:
		c.add("-f", file)
	case random && !typed:
		c.randomPayload(size)
	case typed:
		c.add("-m", text)
	default:
		c.add("-m", "Hello From MQTTX CLI")
	}
}

// randomPayload is a payload of random bytes, by a pipe.
func (c *call) randomPayload(size string) {
	n, ok := bytesOf(size)
	if !ok {
		c.differs("--payload-size %s: is no size like 512B or 1KB", visible(size))
		return
	}
	c.env = "head -c " + strconv.Itoa(n) + " /dev/urandom | "
	c.add("-s")
}

func mqttxSubEnd(c *call) {
	mqttxTransport(c)
	c.named()
	c.protobuf()
}

// protobuf puts the file and the message's name into one rule.
func (c *call) protobuf() {
	file, message := c.given["-Pp"], c.given["-Pmn"]
	if file != "" && message != "" {
		c.add("--payload", "protobuf:"+file+":"+message)
	}
}

func mqttxBenchEnd(c *call) {
	mqttxTransport(c)
	for _, d := range []struct{ theirs, ours, value string }{{"-c", "-c", "1000"}, {"-i", "-i", "10"}, {"-im", "-I", "1000"}, {"-t", "-t", "mqttx/simulate/simulate/%c"}} {
		if _, ok := c.given[d.theirs]; ok || d.theirs == "-im" && !strings.HasSuffix(c.to, "pub") || d.theirs == "-t" && c.tool.name != "mqttx simulate" {
			continue
		}
		c.add(d.ours, d.value)
	}
	c.lasts()
}

// lasts says that a run of bench ends.
func (c *call) lasts() {
	if v, ok := c.given["-L"]; !ok || v == "0" {
		c.drop("-L")
		c.differs("it ends after 10 s here: --duration TIME says otherwise")
	}
}

// bytesOf reads 512B, 1KB and 2MB.
func bytesOf(s string) (int, bool) {
	s = strings.ToUpper(s)
	unit := 1
	for _, u := range []struct {
		name string
		n    int
	}{{"KB", 1 << 10}, {"MB", 1 << 20}, {"GB", 1 << 30}, {"B", 1}} {
		if rest, ok := strings.CutSuffix(s, u.name); ok {
			s, unit = rest, u.n
			break
		}
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f < 0 || f*float64(unit) > 1<<30 {
		return 0, false
	}
	return int(f * float64(unit)), true
}
