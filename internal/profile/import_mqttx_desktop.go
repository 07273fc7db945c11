package profile

import (
	"fmt"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// isDesktop tells an export of MQTTX's window: a list of connections, or one.
func isDesktop(n *yaml.Node) bool {
	connection := func(c *yaml.Node) bool {
		return c.Kind == yaml.MappingNode && lookup(c, "clientId") != nil && lookup(c, "host") != nil
	}
	if n.Kind == yaml.SequenceNode {
		return len(n.Content) > 0 && !slices.ContainsFunc(n.Content, func(c *yaml.Node) bool { return !connection(c) })
	}
	return connection(n)
}

func importDesktop(n *yaml.Node) []Imported {
	connections := n.Content
	if n.Kind == yaml.MappingNode {
		connections = []*yaml.Node{n}
	}
	var all []Imported
	for _, c := range connections {
		name := text(c, "name")
		m := newImporter(name)
		if m.p.Name != name {
			m.p.About = name
		}
		m.desktop(c)
		all = append(all, m.imported())
	}
	return unique(all)
}

// windowKeys are about the window of MQTTX.
var windowKeys = []string{"id", "name", "createAt", "updateAt", "unreadMessageCount", "parentId", "parent", "isCollection", "orderId", "isNewing"}

// desktop reads one connection.
func (m *importer) desktop(n *yaml.Node) {
	tls := text(n, "ssl") == "true" || text(n, "protocol") == "mqtts" || text(n, "protocol") == "wss"
	ws := strings.HasPrefix(text(n, "protocol"), "ws")
	v5 := mqttxVersion(text(n, "mqttVersion")) == "5"
	timed := text(n, "clientIdWithTime") == "true"
	pairs(n, func(key string, value *yaml.Node) {
		v := value.Value
		switch key {
		case "host":
			m.as(key, "host", v)
		case "clientId":
			if timed {
				m.as(key, "id-prefix", v)
				break
			}
			m.mqttxConnection(key, value, tls)
		case "clientIdWithTime":
			m.not(key, "what follows the identifier is the number of the process")
		case "path":
			if !ws {
				m.not(key, "is for WebSocket")
				break
			}
			m.as(key, "ws-path", v)
		case "ssl":
			if protocol := text(n, "protocol"); v == "true" && protocol != "mqtts" && protocol != "wss" {
				m.is(key, Setting{Option: "tls"})
				break
			}
			m.not(key, "see protocol")
		case "certType":
			m.not(key, "see ca, cert and key")
		case "ca", "cert", "key":
			m.certificate(key, v, tls && text(n, "certType") == "self")
		case "rejectUnauthorized":
			m.flag(key, "insecure", tls && v == "false")
		case "ALPNProtocols":
			if v == "" {
				m.not(key, "has no value")
				break
			}
			m.alpn(key, strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ' ' }))
		case "connectTimeout":
			m.as(key, "connect-timeout", v)
		case "reconnect":
			m.as(key, "reconnect", map[bool]string{true: "always", false: "never"}[v == "true"])
		case "username", "password":
			if v == "" {
				m.not(key, "has no value")
				break
			}
			m.as(key, mqttxPlain()[key], v)
		case "will":
			m.desktopWill(value, v5)
		case "properties":
			m.desktopProperties(value, v5)
		case "subscriptions":
			m.desktopSubscriptions(value)
		case "messages":
			m.not(key, fmt.Sprintf("%d messages of the past: a profile has none; see iotctl replay", len(value.Content)))
		default:
			m.desktopOther(key, value, tls)
		}
	})
}

func (m *importer) desktopOther(key string, value *yaml.Node, tls bool) {
	switch {
	case slices.Contains(windowKeys, key):
		m.not(key, "is about the window of MQTTX")
	case strings.HasPrefix(key, "pushProps"):
		m.not(key, "is about the message that was being typed")
	case !m.mqttxConnection(key, value, tls):
		m.not(key, "nothing here is like it")
	}
}

func (m *importer) desktopProperties(n *yaml.Node, v5 bool) {
	pairs(n, func(key string, value *yaml.Node) {
		at := "properties." + key
		before := len(m.notes)
		switch {
		case key == "sessionExpiryInterval" && v5:
			m.as(key, "session-expiry", value.Value)
		case strings.HasPrefix(key, "authentication"):
			m.not(key, "enhanced authentication is not supported")
		case !m.mqttxProperty(key, value, "conn", v5):
			m.not(key, "nothing here is like it")
		}
		for i := range m.notes[before:] {
			m.notes[before+i].Key = at
		}
	})
}

// desktopWill reads the will; without a topic there is none.
func (m *importer) desktopWill(n *yaml.Node, v5 bool) {
	if text(n, "lastWillTopic") == "" {
		m.not("will", "has no topic")
		return
	}
	m.as("will.lastWillTopic", "will-topic", text(n, "lastWillTopic"))
	m.as("will.lastWillPayload", "will-payload", text(n, "lastWillPayload"))
	m.as("will.lastWillQos", "will-qos", orZero(text(n, "lastWillQos")))
	m.flag("will.lastWillRetain", "will-retain", text(n, "lastWillRetain") == "true")
	properties := lookup(n, "properties")
	if properties == nil {
		return
	}
	pairs(properties, func(key string, value *yaml.Node) {
		name, before := key, len(m.notes)
		if key != "" && key != "willDelayInterval" {
			name = "will" + strings.ToUpper(key[:1]) + key[1:]
		}
		if !m.mqttxProperty(name, value, "conn", v5) {
			m.not(key, "nothing here is like it")
		}
		for i := range m.notes[before:] {
			m.notes[before+i].Key = "will.properties." + key
		}
	})
}

func orZero(v string) string {
	if v == "" {
		return "0"
	}
	return v
}

// desktopSubscriptions are for sub; what is said for one of them there is for all here.
func (m *importer) desktopSubscriptions(n *yaml.Node) {
	const key = "subscriptions"
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		m.not(key, "there are none")
		return
	}
	var settings []Setting
	qos := "0"
	for _, s := range n.Content {
		topic := text(s, "topic")
		if topic == "" || text(s, "disabled") == "true" {
			m.not(key, fmt.Sprintf("%q is switched off", topic))
			continue
		}
		settings = append(settings, Setting{Command: "sub", Option: "topic", Value: topic})
		qos = max(qos, text(s, "qos"))
	}
	if len(settings) == 0 {
		return
	}
	m.is(key, append(settings, Setting{Command: "sub", Option: "qos", Value: qos})...)
}
