package translate

import (
	"slices"
	"strings"
)

func hiveMQTools() []*tool {
	all := slices.Concat(hiveMQConnect(), hiveMQWill())
	return []*tool{
		{name: "mqtt pub", also: []string{"mqtt publish"}, to: "pub", equals: true, begin: hiveMQBegin, end: hiveMQPubEnd, rows: slices.Concat(all, []row{
			{names: "-t --topic", takes: value, as: func(c *call, v string) { c.topics = append(c.topics, v) }},
			{names: "-q --qos", takes: value, as: func(c *call, v string) { c.qos = append(c.qos, hiveMQoS(v)) }},
			{names: "-m --message", takes: value, to: "-m"},
			{names: "-m:empty --message-empty", to: "-n"},
			{names: "-m:file --message-file", takes: value, to: "-f"},
			{names: "-r --retain", takes: boolean, to: "-r"},
			{names: "-e --messageExpiryInterval", takes: value, as: prop("publish", "message-expiry-interval")},
			{names: "-pf --payloadFormatIndicator", takes: value, as: hiveMQFormat("publish")},
			{names: "-ct --contentType", takes: value, as: prop("publish", "content-type")},
			{names: "-rt --responseTopic", takes: value, as: prop("publish", "response-topic")},
			{names: "-cd --correlationData", takes: value, as: prop("publish", "correlation-data")},
			{names: "-up --userProperty", takes: value, as: func(c *call, v string) { c.user("publish", v, "=") }},
		})},
		{name: "mqtt sub", also: []string{"mqtt subscribe"}, to: "sub", equals: true, begin: hiveMQBegin, end: hiveMQSubEnd, rows: slices.Concat(all, []row{
			{names: "-t --topic", takes: value, to: "-t"},
			{names: "-q --qos", takes: value, as: func(c *call, v string) { c.qosOf(hiveMQoS(v)) }},
			{names: "--user-property -up --userProperty", takes: value, as: func(c *call, v string) { c.user("subscribe", v, "=") }},
			{names: "--output-to-file -of --outputToFile", takes: value, as: func(c *call, v string) { c.behind = " | tee -a " + Quote(v) }},
			{names: "--base64 -b64", as: func(c *call, _ string) { c.add("--payload", "base64") }},
			{names: "-J --json-output --jsonOutput", as: func(c *call, _ string) {
				c.add("-o", "json")
				c.differs("-J: the members of the JSON have other names; iotctl help formats lists them")
			}},
			{names: "-T --show-topics --showTopics", as: func(c *call, _ string) { c.add("-F", "%t: %p") }},
			{names: "-no-oc --no-outputToConsole", as: func(c *call, _ string) { c.given["no console"] = "yes" }},
		})},
		{name: "mqtt test", to: "doctor", equals: true, end: hiveMQTestEnd, rows: []row{
			{names: "-h --host", takes: value, to: "-h"},
			{names: "-p --port", takes: value, to: "-p"},
			{names: "-V --mqttVersion", takes: value, as: hiveMQVersion},
			{names: "-a --all"},
			{names: "-t --timeOut", takes: value, to: "--check-timeout"},
			{names: "-q --qosTries", takes: value, to: "--tries"},
			{names: "-l", note: noLog},
			{names: "--help", to: "="},
		}},
	}
}

const noLog = "there is no log file; -d shows every packet on standard error"

func hiveMQConnect() []row {
	const store = "there are no key stores of Java here; keytool and openssl turn them into PEM files for --cafile, --cert and --key"
	return []row{
		{names: "-V --mqttVersion", takes: value, as: hiveMQVersion},
		{names: "-h --host", takes: value, to: "-h"},
		{names: "-p --port", takes: value, to: "-p"},
		{names: "-i --identifier", takes: value, to: "-i"},
		{names: "-ip --identifierPrefix", takes: value, to: "-I"},
		{names: "-k --keepAlive", takes: value, to: "-k"},
		{names: "--no-cleanStart", to: "-c"},
		{names: "--cleanStart"},
		{names: "-se --sessionExpiryInterval", takes: value, to: "-x"},
		{names: "-Cup --connectUserProperty", takes: value, as: func(c *call, v string) { c.user("connect", v, "=") }},
		{names: "-ws", to: "--ws"},
		{names: "-ws:path", takes: value, to: "--ws-path"},
		{names: "-u --user", takes: value, to: "-u"},
		{names: "-pw --password", takes: optional, secret: true, as: func(c *call, v string) {
			if v == "" {
				c.add("--ask-password")
				return
			}
			c.add("-P", v)
		}},
		{names: "-pw:env", takes: optional, as: func(c *call, v string) {
			if v == "" {
				v = "MQTT_CLI_PW"
			}
			c.env = `IOTCTL_PASSWORD="$` + v + `" `
		}},
		{names: "-pw:file", takes: value, to: "--password-file"},
		{names: "--rcvMax", takes: value, as: prop("connect", "receive-maximum")},
		{names: "--sendMax", takes: value, to: "-M"},
		{names: "--maxPacketSize", takes: value, as: prop("connect", "maximum-packet-size")},
		{names: "--sendMaxPacketSize", takes: value, note: "the broker's limit counts"},
		{names: "--topicAliasMax", takes: value, as: prop("connect", "topic-alias-maximum")},
		{names: "--sendTopicAliasMax", takes: value, idle: true, note: "an alias is sent where -D publish topic-alias N asks for it"},
		{names: "--no-reqProblemInfo", as: on("connect", "request-problem-information", "0")},
		{names: "--reqProblemInfo"},
		{names: "--reqResponseInfo", as: on("connect", "request-response-information", "1")},
		{names: "-s --secure", takes: boolean, to: "--tls"},
		{names: "--cafile --ca-cert --server-cert", takes: value, to: "--cafile"},
		{names: "--capath --ca-cert-dir --server-cert-dir", takes: value, to: "--capath"},
		{names: "--cert --client-cert", takes: value, to: "--cert"},
		{names: "--key --client-private-key", takes: value, to: "--key"},
		{names: "--keypw --client-private-key-password", takes: optional, secret: true, note: "a key that is encrypted is not read: openssl pkey -in KEY -out PLAIN decrypts it"},
		{names: "--ciphers", takes: value, to: "="},
		{names: "--tls-version", takes: value, as: func(c *call, v string) {
			v = strings.ToLower(v)
			if v != "tlsv1.2" && v != "tlsv1.3" || c.has("--tls-version") {
				c.drop("--tls-version") // several are all there is
				if v != "tlsv1.2" && v != "tlsv1.3" {
					c.differs("--tls-version %s: there is tlsv1.2 and tlsv1.3", visible(v))
				}
				return
			}
			c.add("--tls-version", v)
		}},
		{names: "--ks --keystore", takes: value, note: store},
		{names: "--kspw --keystore-password", takes: optional, secret: true, note: store},
		{names: "--kspkpw --keystore-private-key-password", takes: optional, secret: true, note: store},
		{names: "--ts --truststore", takes: value, note: store},
		{names: "--tspw --truststore-password", takes: optional, secret: true, note: store},
		{names: "-d --debug", to: "-d"},
		{names: "-v --verbose", as: func(c *call, _ string) {
			if !c.has("-d") {
				c.add("-d")
			}
		}},
		{names: "-l", note: noLog},
		{names: "--help", to: "="},
		{names: "--version", as: func(c *call, _ string) { c.to, c.options, c.topics = "version", nil, nil; c.given["--version"] = "yes" }},
	}
}

func hiveMQWill() []row {
	return []row{
		{names: "-Wt --willTopic", takes: value, to: "--will-topic"},
		{names: "-Wm --willMessage", takes: value, to: "--will-payload"},
		{names: "-Wq --willQualityOfService", takes: value, as: func(c *call, v string) { c.add("--will-qos", hiveMQoS(v)) }},
		{names: "-Wr --willRetain", takes: boolean, to: "--will-retain"},
		{names: "-We --willMessageExpiryInterval", takes: value, as: prop("will", "message-expiry-interval")},
		{names: "-Wd --willDelayInterval", takes: value, as: prop("will", "will-delay-interval")},
		{names: "-Wpf --willPayloadFormatIndicator", takes: value, as: hiveMQFormat("will")},
		{names: "-Wct --willContentType", takes: value, as: prop("will", "content-type")},
		{names: "-Wrt --willResponseTopic", takes: value, as: prop("will", "response-topic")},
		{names: "-Wcd --willCorrelationData", takes: value, as: prop("will", "correlation-data")},
		{names: "-Wup --willUserProperty", takes: value, as: func(c *call, v string) { c.user("will", v, "=") }},
	}
}

// hiveMQVersion knows 3, which is 3.1.1, and 5.
func hiveMQVersion(c *call, v string) {
	c.drop("-V")
	if v == "3" {
		v = "311"
	}
	c.add("-V", v)
}

func hiveMQoS(v string) string {
	if n, ok := map[string]string{"at_most_once": "0", "at_least_once": "1", "exactly_once": "2"}[strings.ToLower(v)]; ok {
		return n
	}
	return v
}

func hiveMQFormat(command string) func(*call, string) {
	return func(c *call, v string) {
		v = strings.ToLower(v)
		if n, ok := map[string]string{"utf_8": "1", "utf8": "1", "unspecified": "0"}[v]; ok {
			v = n
		}
		c.add("-D", command, "payload-format-indicator", v)
	}
}

func hiveMQBegin(c *call) { c.add("-V", "5") }

// hiveMQTransport: its port is 1883 whatever else is said.
func hiveMQTransport(c *call) {
	if c.has("-i") {
		c.drop("-I") // the prefix is for identifiers that are made up
	}
	c.named()
	tls := c.has("--tls") || c.has("--cafile") || c.has("--capath")
	if !tls {
		for _, name := range []string{"--cert", "--ciphers", "--tls-version"} {
			if c.has(name) {
				tls = true
				c.add("--tls")
				break
			}
		}
	}
	if _, ok := c.given["-p"]; !ok && (tls || c.has("--ws")) {
		c.add("-p", "1883")
	}
}

func hiveMQPubEnd(c *call) {
	if _, ok := c.given["--version"]; ok {
		c.to, c.options, c.topics = "version", nil, nil
		return
	}
	hiveMQTransport(c)
}

func hiveMQSubEnd(c *call) {
	if _, ok := c.given["--version"]; ok {
		c.to, c.options = "version", nil
		return
	}
	hiveMQTransport(c)
	if c.has("-o") {
		c.drop("-F") // the topic is in the JSON
	}
	if _, ok := c.given["-q"]; !ok {
		c.add("-q", "2")
	}
	if c.given["no console"] != "" {
		c.behind = strings.Replace(c.behind, " | tee -a ", " >> ", 1)
	}
}

func hiveMQTestEnd(c *call) {
	_, all := c.given["-a"]
	switch {
	case all && c.has("-V"):
		c.advise("without -V all versions are tried, and the newest is examined")
	case all:
		c.advise("-a: all versions are tried in any case, and the newest is examined")
	}
	c.advise("iotctl doctor checks more, and says it in other words; -o json is for programs")
}
