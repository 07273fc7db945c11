package profile

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// mqttxCommands are the sections of a file of `mqttx … --save-options`.
var mqttxCommands = []string{"conn", "pub", "sub", "benchConn", "benchPub", "benchSub", "simulate"}

func isMQTTXOptions(n *yaml.Node) bool {
	if n.Kind != yaml.MappingNode || len(n.Content) == 0 {
		return false
	}
	for i := 0; i < len(n.Content); i += 2 {
		if !slices.Contains(mqttxCommands, n.Content[i].Value) || n.Content[i+1].Kind != yaml.MappingNode {
			return false
		}
	}
	return true
}

// importMQTTXOptions makes a profile of each section about one client.
func importMQTTXOptions(name string, n *yaml.Node) []Imported {
	var all []Imported
	var loads []Note
	for i := 0; i < len(n.Content); i += 2 {
		command := n.Content[i].Value
		switch command {
		case "conn", "pub", "sub":
			m := newImporter(name + "-" + command)
			m.mqttx(n.Content[i+1], command)
			all = append(all, m.imported())
		default:
			loads = append(loads, Note{Key: command, Why: "is a load: see iotctl bench, and iotctl pub --help for made-up messages"})
		}
	}
	if len(all) == 0 {
		all = append(all, newImporter(name).imported())
	}
	if len(all) == 1 {
		all[0].Profile.Name = Name(name)
	}
	all[0].Notes = append(all[0].Notes, loads...)
	return unique(all)
}

// pairs calls f with the keys and values of a mapping that are not null.
func pairs(n *yaml.Node, f func(key string, value *yaml.Node)) {
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		if v := n.Content[i+1]; v.Tag != "!!null" {
			f(n.Content[i].Value, v)
		}
	}
}

// text is the value of a key, "" if there is none.
func text(n *yaml.Node, key string) string {
	v := lookup(n, key)
	if v == nil || v.Kind != yaml.ScalarNode || v.Tag == "!!null" {
		return ""
	}
	return v.Value
}

// values are the items of a list, or the one value.
func values(n *yaml.Node) []string {
	if n.Kind == yaml.ScalarNode {
		return []string{n.Value}
	}
	v, _ := scalars(n)
	return v
}

// random tells what MQTTX calls a client that has no name.
func random(id string) bool {
	digits, ok := strings.CutPrefix(id, "mqttx_")
	return ok && len(digits) >= 6 && strings.Trim(digits, "0123456789abcdef") == ""
}

const (
	inherent = "that is how it is"
	pacing   = "the times between attempts to connect are iotctl's own"
)

// mqttx reads the options of one command.
func (m *importer) mqttx(n *yaml.Node, command string) {
	tls := strings.HasSuffix(text(n, "protocol"), "s") && text(n, "protocol") != "ws"
	v5 := text(n, "mqttVersion") == "5" || text(n, "mqttVersion") == ""
	if v5 && lookup(n, "mqttVersion") == nil {
		m.as("(the version that MQTTX has by default)", "protocol-version", "5")
	}
	pairs(n, func(key string, value *yaml.Node) {
		switch {
		case m.mqttxConnection(key, value, tls):
		case m.mqttxProperty(key, value, command, v5):
		case command == "pub" && m.mqttxPub(n, key, value):
		case command == "sub" && m.mqttxSub(n, key, value):
		default:
			m.not(key, "nothing here is like it")
		}
	})
}

// mqttxPlain are keys of MQTTX that are options here.
func mqttxPlain() map[string]string {
	return map[string]string{
		"hostname": "host", "port": "port", "keepalive": "keepalive", "username": "username", "password": optionPassword,
		"path": "ws-path", "willTopic": "will-topic", "willMessage": "will-payload", "willQos": "will-qos",
		"sessionExpiryInterval": "session-expiry",
	}
}

func (m *importer) mqttxConnection(key string, value *yaml.Node, tls bool) bool {
	v := value.Value
	on := v == "true"
	switch key {
	case "mqttVersion":
		m.as(key, "protocol-version", mqttxVersion(v))
	case "protocol":
		m.scheme(key, v)
	case "clientId":
		if random(v) {
			m.not(key, "was made up by MQTTX: the broker assigns one")
			break
		}
		m.as(key, "id", v)
	case "clean":
		m.flag(key, "disable-clean-session", !on)
	case "ca", "cert", "key":
		m.certificate(key, v, tls)
	case "insecure", "debug":
		m.flag(key, key, on)
	case "willRetain":
		m.flag(key, "will-retain", on)
	case "wsHeaders":
		pairs(value, func(name string, v *yaml.Node) { m.as(key, "ws-header", name+": "+v.Value) })
	case "alpn":
		m.alpn(key, values(value))
	case "reconnectPeriod":
		if v == "0" {
			m.as(key, "reconnect", "never")
			break
		}
		m.not(key, pacing)
	case "maximumReconnectTimes":
		m.as(key, "reconnect", v)
	case "authenticationMethod", "authenticationData":
		m.not(key, "enhanced authentication (SCRAM) is not supported")
	case "saveOptions", "loadOptions":
		m.not(key, "is about files of MQTTX")
	default:
		option := mqttxPlain()[key]
		if option == "" {
			return false
		}
		m.as(key, option, v)
	}
	return true
}

func mqttxVersion(v string) string {
	if short, ok := map[string]string{"3": "31", "4": "311", "5": "5", "3.1": "31", "3.1.1": "311", "5.0": "5"}[v]; ok {
		return short
	}
	return v
}

// flag is a switch, if it is on.
func (m *importer) flag(key, option string, on bool) {
	if on {
		m.is(key, Setting{Option: option})
		return
	}
	m.not(key, inherent)
}

// scheme is how to connect.
func (m *importer) scheme(key, scheme string) {
	switch scheme {
	case "mqtts":
		m.is(key, Setting{Option: "tls"})
	case "ws":
		m.is(key, Setting{Option: "ws"})
	case "wss":
		m.is(key, Setting{Option: "ws"}, Setting{Option: "tls"})
	default:
		m.not(key, inherent)
	}
}

// certificate is a file, which without TLS is not used there, and would switch it on
// here.
func (m *importer) certificate(key, v string, tls bool) {
	option := key
	if key == "ca" {
		option = "cafile"
	}
	switch {
	case v == "":
		m.not(key, "has no value")
	case !tls:
		m.not(key, "is not used without TLS")
	default:
		m.as(key, option, v)
	}
}

func (m *importer) alpn(key string, protocols []string) {
	if len(protocols) == 0 {
		return
	}
	m.as(key, "tls-alpn", protocols[0])
	if len(protocols) > 1 {
		m.not(key, "one protocol is offered, so these are left out: "+strings.Join(protocols[1:], ", "))
	}
}

// mqttxProperties are those of MQTT 5.0: packet and name.
func mqttxProperties() map[string][2]string {
	return map[string][2]string{
		"receiveMaximum":             {"connect", "receive-maximum"},
		"maximumPacketSize":          {"connect", "maximum-packet-size"},
		"topicAliasMaximum":          {"connect", "topic-alias-maximum"},
		"reqResponseInfo":            {"connect", "request-response-information"},
		"requestResponseInformation": {"connect", "request-response-information"},
		"reqProblemInfo":             {"connect", "request-problem-information"},
		"requestProblemInformation":  {"connect", "request-problem-information"},
		"connUserProperties":         {"connect", "user-property"},
		"willDelayInterval":          {"will", "will-delay-interval"},
		"willPayloadFormatIndicator": {"will", "payload-format-indicator"},
		"willMessageExpiryInterval":  {"will", "message-expiry-interval"},
		"willContentType":            {"will", "content-type"},
		"willResponseTopic":          {"will", "response-topic"},
		"willCorrelationData":        {"will", "correlation-data"},
		"willUserProperties":         {"will", "user-property"},
		"payloadFormatIndicator":     {"publish", "payload-format-indicator"},
		"messageExpiryInterval":      {"publish", "message-expiry-interval"},
		"topicAlias":                 {"publish", "topic-alias"},
		"responseTopic":              {"publish", "response-topic"},
		"correlationData":            {"publish", "correlation-data"},
		"contentType":                {"publish", "content-type"},
	}
}

func (m *importer) mqttxProperty(key string, value *yaml.Node, command string, v5 bool) bool {
	at, ok := mqttxProperties()[key]
	switch {
	case key == "userProperties" && command == "pub":
		at, ok = [2]string{"publish", "user-property"}, true
	case key == "userProperties" && command == "sub":
		at, ok = [2]string{"subscribe", "user-property"}, true
	case key == "userProperties":
		at, ok = [2]string{"connect", "user-property"}, true
	case key == "subscriptionIdentifier" && command == "sub":
		at, ok = [2]string{"subscribe", "subscription-identifier"}, true
	}
	switch {
	case !ok:
		return false
	case !v5:
		m.not(key, "properties need MQTT 5.0")
	case at[1] == "user-property":
		var settings []Setting
		pairs(value, func(name string, v *yaml.Node) {
			for _, one := range values(v) {
				settings = append(settings, section(property(at[0], at[1], name, one), at[0]))
			}
		})
		m.is(key, settings...)
	case value.Kind != yaml.ScalarNode:
		m.not(key, "is no text")
	case value.Value == strconv.FormatBool(at[1] == "request-problem-information") && strings.HasPrefix(at[1], "request-"):
		m.not(key, inherent)
	default:
		v := value.Value
		if v == "true" || v == "false" {
			v = map[string]string{"true": "1", "false": "0"}[v]
		}
		m.is(key, section(property(at[0], at[1], v), at[0]))
	}
	return true
}

// section puts what is about messages and subscriptions where it belongs.
func section(s Setting, packet string) Setting {
	switch packet {
	case "publish":
		s.Command = "pub"
	case "subscribe":
		s.Command = "sub"
	}
	return s
}

func (m *importer) mqttxPub(n *yaml.Node, key string, value *yaml.Node) bool {
	v := value.Value
	on := v == "true"
	pub := func(option, v string) { m.is(key, Setting{Command: "pub", Option: option, Value: v}) }
	piped := text(n, "stdin") == "true" || text(n, "lineMode") == "true"
	switch key {
	case "topic", "qos":
		pub(key, v)
	case "message":
		if piped || text(n, "fileRead") != "" || lookup(n, "payloadSize") != nil {
			m.not(key, "the message comes from elsewhere")
			break
		}
		pub("message", v)
	case "retain":
		if !on {
			m.not(key, inherent)
			break
		}
		pub("retain", "")
	case "fileRead":
		pub("file", v)
	case "stdin", "multiline", "lineMode":
		option := "stdin-file"
		if text(n, "multiline") == "true" || text(n, "lineMode") == "true" {
			option = "stdin-line"
		}
		if !on || m.has(option) {
			m.not(key, "see stdin")
			break
		}
		pub(option, "")
	case "dup":
		m.not(key, "only what is sent again is a duplicate")
	case "payloadSize":
		m.not(key, "messages are made up by options of iotctl pub; see its --help")
	default:
		return m.mqttxPayload(n, key, v, "pub")
	}
	return true
}

func (m *importer) mqttxSub(n *yaml.Node, key string, value *yaml.Node) bool {
	sub := func(option, v string) { m.is(key, Setting{Command: "sub", Option: option, Value: v}) }
	list := values(value)
	switch key {
	case "topic":
		for _, t := range list {
			sub("topic", t)
		}
	case "qos":
		if len(list) > 0 {
			sub("qos", slices.Max(list))
		}
	case "retainAsPublished":
		m.each(key, "retain-as-published", list)
	case "retainHandling":
		if kinds := map[string]string{"0": "always", "1": "new", "2": "never"}; len(list) > 0 && kinds[list[0]] != "" {
			sub("retain-handling", kinds[list[0]])
		}
	case "outputMode":
		if value.Value != "clean" {
			m.not(key, inherent)
			break
		}
		sub("output", "jsonl")
	case "verbose":
		m.not(key, "-d shows packets")
	case "fileWrite", "fileSave", "delimiter":
		m.not(key, "the shell writes files: iotctl sub … > FILE")
	default:
		return m.mqttxPayload(n, key, value.Value, "sub")
	}
	return true
}

// each is a switch for each subscription there, and for all of them here.
func (m *importer) each(key, option string, list []string) {
	if !slices.Contains(list, "true") {
		m.not(key, inherent)
		return
	}
	m.is(key, Setting{Command: "sub", Option: option})
}

// mqttxPayload is what payloads are.
func (m *importer) mqttxPayload(n *yaml.Node, key, v, command string) bool {
	rule := func(pipeline string) {
		m.is(key, Setting{Command: command, Option: "payload", Value: pipeline})
	}
	switch key {
	case "format":
		if v == "binary" {
			m.not(key, inherent)
			break
		}
		rule(v)
	case "protobufPath":
		rule(fmt.Sprintf("protobuf:%s:%s", v, text(n, "protobufMessageName")))
	case "protobufMessageName":
		m.not(key, "see protobufPath")
	case "avscPath":
		rule("avro:" + v)
	default:
		return false
	}
	return true
}

// importMQTTXConfig reads ~/.mqttx-cli/config.
func importMQTTXConfig(name string, lines []string) []Imported {
	m := newImporter(name)
	m.as("(the version that MQTTX has by default)", "protocol-version", "5")
	for _, line := range lines {
		key, value, ok := strings.Cut(line, "=")
		key, value = strings.TrimSpace(key), strings.Trim(strings.TrimSpace(value), `"`)
		option := map[string]string{"host": "host", "port": "port", "username": "username", "password": optionPassword, "max_reconnect_times": "reconnect"}[key]
		switch {
		case !ok || key == "" || strings.ContainsRune("#;", rune(key[0])):
		case key == "protocol":
			m.scheme(key, value)
		case option != "" && value != "":
			m.as(key, option, value)
		default:
			m.not(key, "nothing here is like it")
		}
	}
	return []Imported{m.imported()}
}
