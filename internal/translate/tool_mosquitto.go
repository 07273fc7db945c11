package translate

import (
	"net/url"
	"slices"
	"strings"
)

func mosquittoTools() []*tool {
	all := slices.Concat(mosquittoConnect(), mosquittoTLS())
	pub := []row{
		{names: "-t --topic", takes: value, to: "="},
		{names: "-m --message", takes: value, to: "="},
		{names: "-f --file", takes: value, to: "="},
		{names: "-s --stdin-file", to: "="},
		{names: "-n --null-message", to: "="},
	}
	show := []row{
		{names: "-F", takes: value, to: "="},
		{names: "-N", to: "="},
		{names: "-R", to: "="},
		{names: "-v --verbose", to: "="},
		{names: "--pretty", to: "="},
		{names: "-W", takes: value, to: "="},
	}
	return []*tool{
		{name: "mosquitto_pub", to: "pub", end: mosquittoEnd, rows: slices.Concat(all, pub, []row{
			{names: "-l --stdin-line", to: "="},
			{names: "-r --retain", to: "="},
			{names: "--repeat", takes: value, to: "="},
			{names: "--repeat-delay", takes: value, to: "="},
		})},
		{name: "mosquitto_sub", to: "sub", end: mosquittoEnd, rows: slices.Concat(all, show, []row{
			{names: "-t --topic", takes: value, to: "="},
			{names: "-U --unsubscribe", takes: value, to: "="},
			{names: "-T --filter-out", takes: value, to: "="},
			{names: "-C", takes: value, to: "="},
			{names: "-E", to: "="},
			{names: "--retained-only", to: "="},
			{names: "--remove-retained", to: "="},
			{names: "--retain-as-published", to: "="},
			{names: "--retain-handling", takes: value, to: "="},
			{names: "--random-filter", takes: value, to: "="},
			{names: "--message-rate", to: "="},
			{names: "-w --watch", to: "="},
		})},
		{name: "mosquitto_rr", to: "rr", end: mosquittoEnd, rows: slices.Concat(all, pub, show, []row{
			{names: "-e", takes: value, to: "="},
			{names: "--latency", to: "="},
			{names: "-l --stdin-line", note: "mosquitto_rr takes it and sends nothing"},
		})},
	}
}

func mosquittoConnect() []row {
	return []row{
		{names: "-h --host", takes: value, to: "="},
		{names: "-p --port", takes: value, to: "="},
		{names: "--unix", takes: value, to: "="},
		{names: "-L --url", takes: value, as: mosquittoURL},
		{names: "-A", takes: value, to: "="},
		{names: "--ws", to: "="},
		{names: "--nodelay", to: "="},
		{names: "-S", to: "="},
		{names: "--proxy", takes: value, to: "="},
		{names: "-i --id", takes: value, to: "="},
		{names: "-I --id-prefix", takes: value, to: "="},
		{names: "-k --keepalive", takes: value, to: "="},
		{names: "-V --protocol-version", takes: value, to: "="},
		{names: "-c --disable-clean-session", to: "="},
		{names: "-x --session-expiry-interval", takes: value, to: "-x"},
		{names: "-M", takes: value, to: "="},
		{names: "-u --username", takes: value, to: "="},
		{names: "-P --pw", takes: value, to: "=", secret: true},
		{names: "-q --qos", takes: value, to: "="},
		{names: "-D --property", takes: property, to: "="},
		{names: "--will-topic", takes: value, to: "="},
		{names: "--will-payload", takes: value, to: "="},
		{names: "--will-qos", takes: value, to: "="},
		{names: "--will-retain", to: "="},
		{names: "-d --debug", to: "=", note: "packets are shown, decoded, on standard error, and not on standard output"},
		{names: "--quiet", to: "="},
		{names: "-o", takes: value, note: "options come from iotctl/pub, iotctl/sub and iotctl/rr in ~/.config, or from a profile (iotctl profile)"},
		{names: "--help", to: "="},
		{names: "--version", as: func(c *call, _ string) { c.to, c.options = "version", nil }},
	}
}

func mosquittoTLS() []row {
	const engine = "there are no TLS engines here: --key FILE"
	const psk = "there is no TLS with pre-shared keys here: --cert FILE --key FILE, or a user name"
	return []row{
		{names: "--cafile", takes: value, to: "="},
		{names: "--capath", takes: value, to: "="},
		{names: "--tls-use-os-certs", to: "="},
		{names: "--no-tls", to: "="},
		{names: "--cert", takes: value, to: "="},
		{names: "--key", takes: value, to: "="},
		{names: "--keyform", takes: value, as: func(c *call, v string) {
			if v != "pem" {
				c.differs("--keyform %s: %s", v, engine)
			}
		}},
		{names: "--tls-engine", takes: value, note: engine},
		{names: "--tls-engine-kpass-sha1", takes: value, note: engine},
		{names: "--ciphers", takes: value, to: "=", note: "names of TLS 1.2 suites with colons between; OpenSSL's other words (HIGH, !aNULL) are not known", idle: true},
		{names: "--tls-version", takes: value, to: "="},
		{names: "--tls-alpn", takes: value, to: "="},
		{names: "--insecure", to: "=", note: "it accepts any certificate, as in mosquitto 2.1; in 2.0 only the name was not checked"},
		{names: "--tls-keylog", takes: value, to: "="},
		{names: "--psk", takes: value, note: psk, secret: true},
		{names: "--psk-identity", takes: value, note: psk},
	}
}

// mosquittoURL follows its rules: the topic begins at the first slash, nothing is
// percent-encoded, and a WebSocket has no path.
func mosquittoURL(c *call, v string) {
	scheme, rest, ok := strings.Cut(v, "://")
	if !ok || strings.ContainsRune(v, opens) {
		c.add("-L", v)
		return
	}
	if strings.Contains(rest, "@") {
		c.advise("everybody on this machine can read the password: better --password-file FILE, --ask-password or IOTCTL_PASSWORD")
	}
	authority, topic, _ := strings.Cut(rest, "/")
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		name, pw, has := strings.Cut(authority[:at], ":")
		user := url.User(name)
		if has {
			user = url.UserPassword(name, pw)
		}
		authority = user.String() + authority[at:]
	}
	if scheme == "ws" || scheme == "wss" {
		if at := strings.LastIndexByte(authority, ':'); at < strings.LastIndexByte(authority, '@') || at < 0 {
			authority += map[string]string{"ws": ":1883", "wss": ":8883"}[scheme]
		}
		c.add("-L", scheme+"://"+authority)
		if topic != "" {
			c.add("-t", topic)
		}
		return
	}
	c.add("-L", scheme+"://"+authority+"/"+strings.NewReplacer("%", "%25", "?", "%3F").Replace(topic))
}

// mosquittoEnd adds what differs without being said.
func mosquittoEnd(c *call) {
	_, port := c.given["-p"]
	if c.has("--ws") && !port {
		tls := c.has("--cafile") || c.has("--capath") || c.has("--tls-use-os-certs")
		c.add("-p", map[bool]string{false: "1883", true: "8883"}[tls])
	}
	if v := c.given["--tls-version"]; v != "" && v != "tlsv1.2" && v != "tlsv1.3" && !strings.ContainsRune(v, opens) {
		c.drop("--tls-version")
		c.differs("--tls-version %s: there is tlsv1.2 and tlsv1.3", v)
	}
	_, only := c.given["--retained-only"]
	_, timed := c.given["-W"]
	if only && timed {
		c.advise("iotctl get TOPIC prints a retained value and ends at once, with a code that tells if there is none")
	}
}
