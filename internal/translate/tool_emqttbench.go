package translate

import (
	"slices"
	"strconv"
	"strings"
)

// leastBenchPayload is what time, number and checksum take.
const leastBenchPayload = 16

func emqttBenchTools() []*tool {
	all := emqttBenchConnect()
	headers := row{names: "--payload-hdrs", takes: value, to: "="}
	return []*tool{
		{name: "emqtt_bench conn", to: "bench conn", end: emqttBenchEnd, rows: all},
		{name: "emqtt_bench sub", to: "bench sub", end: emqttBenchEnd, rows: slices.Concat(all, []row{
			{names: "-t --topic", takes: value, as: emqttTopic},
			{names: "-q --qos", takes: value, to: "-q"},
			headers,
		})},
		{name: "emqtt_bench pub", to: "bench pub", end: emqttBenchEnd, rows: slices.Concat(all, []row{
			{names: "-I --interval_of_msg", takes: value, to: "-I"},
			{names: "-t --topic", takes: value, as: emqttTopic},
			headers,
			{names: "-s --size", takes: value, as: func(c *call, v string) {
				if n, ok := number(v); ok && n < leastBenchPayload {
					c.differs("-s %s: payloads of bench have at least %d bytes", v, leastBenchPayload)
					v = strconv.Itoa(leastBenchPayload)
				}
				c.add("-s", v)
			}},
			{names: "-m --message", takes: value, note: noBenchPayload},
			{names: "--topics-payload", takes: value, note: noBenchPayload},
			{names: "-q --qos", takes: value, to: "-q"},
			{names: "-r --retain", takes: boolean, to: "-r"},
			{names: "-L --limit", takes: value, to: "-L"},
			{names: "-F --inflight", takes: value, as: func(c *call, v string) {
				if v == "0" { // no bound
					v = "65535"
				}
				c.add("-F", v)
			}},
			{names: "-w --wait-before-publishing", takes: boolean, to: "-w"},
			{names: "--max-random-wait", takes: value, note: "publishers begin by a schedule here, spread over the interval"},
			{names: "--min-random-wait", takes: value, note: "publishers begin by a schedule here, spread over the interval"},
			{names: "--retry-interval", takes: value, note: "nothing is sent twice on one connection"},
			{names: "--keep-connected", takes: boolean, note: "the run ends when all is published"},
		})},
	}
}

func emqttBenchConnect() []row {
	const (
		quic   = "there is no QUIC here"
		qoe    = "every run measures connecting, subscribing and delivery; --out FILE records it"
		runner = "that is about its own runtime"
	)
	return []row{
		{names: "--help", to: "="},
		{names: "-d --dist", takes: boolean, idle: true, note: runner},
		{names: "-h --host", takes: value, as: func(c *call, v string) {
			first, more, several := strings.Cut(v, ",")
			c.add("-h", first)
			if several {
				c.differs("--host: one host at a time, without %s", visible(more))
			}
		}},
		{names: "-p --port", takes: value, to: "-p"},
		{names: "-V --version", takes: value, as: func(c *call, v string) {
			if known, ok := map[string]string{"3": "31", "4": "311"}[v]; ok {
				v = known
			}
			c.add("-V", v)
		}},
		{names: "-c --count", takes: value, to: "-c"},
		{names: "-R --connrate", takes: value, as: func(c *call, v string) {
			if v != "0" {
				c.add("-R", v)
			}
		}},
		{names: "-i --interval", takes: value, to: "-i"},
		{names: "--ifaddr", takes: value, as: func(c *call, v string) {
			first, more, several := strings.Cut(v, ",")
			c.add("--bind", first)
			if several {
				c.differs("--ifaddr: one address at a time, without %s", visible(more))
			}
		}},
		{names: "--prefix", takes: value, to: "="},
		{names: "--shortids", takes: boolean, as: func(c *call, _ string) {
			if _, ok := c.given["--prefix"]; !ok {
				c.add("--id", "%i")
			}
		}},
		{names: "-n --startnumber", takes: value, to: "-n"},
		{names: "--num-retry-connect", takes: value, note: "a connection that fails is counted, and not tried again"},
		{names: "--reconnect", takes: value, note: "a client of bench that is lost is counted, and does not come back"},
		{names: "-S --ssl", takes: boolean, as: func(*call, string) {}},
		{names: "--ssl-version", takes: value, as: func(c *call, v string) {
			switch v {
			case "tlsv1.2", "tlsv1.3":
				c.add("--tls-version", v)
			case "tlsv1.3_nocompat":
				c.add("--tls-version", "tlsv1.3")
			default:
				c.differs("--ssl-version %s: there is tlsv1.2 and tlsv1.3", visible(v))
			}
		}},
		{names: "--cacertfile", takes: value, to: "--cafile"},
		{names: "--certfile", takes: value, to: "--cert"},
		{names: "--keyfile", takes: value, to: "--key"},
		{names: "--ciphers", takes: value, as: func(c *call, v string) {
			var old []string
			for name := range strings.SplitSeq(v, ",") {
				// Those of TLS 1.3 are always on.
				if !strings.HasPrefix(name, "TLS_AES_") && !strings.HasPrefix(name, "TLS_CHACHA20_") {
					old = append(old, name)
				}
			}
			if len(old) > 0 {
				c.add("--ciphers", strings.Join(old, ":"))
			}
		}},
		{names: "--signature-algs", takes: value, note: "they cannot be chosen here"},
		{names: "--keyex-algs", takes: value, note: "they cannot be chosen here"},
		{names: "--quic", takes: value, note: quic},
		{names: "--load-qst", takes: value, note: quic},
		{names: "--ws", takes: boolean, to: "="},
		{names: "-u --username", takes: value, as: func(c *call, v string) {
			c.add("-u", v)
			if strings.Contains(v, "%") {
				c.differs("-u %s: one name for all; --identities FILE has a name and a password for each", visible(v))
			}
		}},
		{names: "-P --password", takes: value, to: "-P", secret: true},
		{names: "-k --keepalive", takes: value, to: "-k"},
		{names: "-C --clean", takes: value, to: "-C"},
		{names: "-x --session-expiry", takes: value, to: "-x"},
		{names: "-l --lowmem", takes: boolean, to: "-l"},
		{names: "--force-major-gc-interval", takes: value, idle: true, note: runner},
		{names: "-Q --qoe", takes: value, idle: true, note: qoe},
		{names: "--qoelog", takes: value, note: qoe},
		{names: "--prometheus", idle: true, note: "--prometheus-listen answers Prometheus"},
		{names: "--restapi", takes: value, to: "--prometheus-listen"},
		{names: "--log_to", takes: value, as: func(c *call, v string) {
			if v == "null" {
				c.add("--quiet")
			}
		}},
	}
}

func emqttTopic(c *call, v string) {
	c.add("-t", v)
	if strings.Contains(v, "%s") || strings.Contains(v, "%rand_") {
		c.differs("-t %s: %%i, %%c and %%u are known; --topics N spreads messages over levels below a topic", visible(v))
	}
}

// emqttBenchEnd adds its defaults where they are others, and what --ssl means.
func emqttBenchEnd(c *call) {
	ssl, has := c.given["-S"]
	_, version := c.given["--ssl-version"]
	switch {
	case has && ssl != "false", version:
		c.add("--tls")
		c.add("--insecure")
		c.advise("emqtt_bench never checks the server's certificate; without --insecure it is checked")
	default:
		for _, name := range []string{"--cafile", "--cert", "--key", "--ciphers"} {
			c.drop(name)
		}
	}
	defaults := []struct{ theirs, ours, value string }{{"-V", "-V", "5"}, {"-p", "-p", "1883"}, {"-c", "-c", "200"}}
	if _, ok := c.given["-R"]; !ok {
		defaults = append(defaults, struct{ theirs, ours, value string }{"-i", "-i", "10"})
	}
	if c.tool.name == "emqtt_bench pub" {
		defaults = append(defaults, []struct{ theirs, ours, value string }{{"-I", "-I", "1000"}, {"-s", "-s", "256"}, {"-F", "-F", "1"}}...)
	}
	for _, d := range defaults {
		if _, ok := c.given[d.theirs]; ok || d.theirs == "-p" && !c.has("--tls") && !c.has("--ws") {
			continue
		}
		c.add(d.ours, d.value)
	}
	c.lasts()
}
