package profile

import (
	"fmt"
	"net"
	"strings"
)

// bridgeKeys are those of a bridge of mosquitto.conf that are options here.
func bridgeKeys() map[string]string {
	return map[string]string{
		"remote_clientid":                "id",
		"clientid":                       "id",
		"remote_username":                "username",
		"username":                       "username",
		"remote_password":                optionPassword,
		"password":                       optionPassword,
		"keepalive_interval":             "keepalive",
		"bridge_cafile":                  "cafile",
		"bridge_capath":                  "capath",
		"bridge_certfile":                "cert",
		"bridge_keyfile":                 "key",
		"bridge_alpn":                    "tls-alpn",
		"bridge_tls_version":             "tls-version",
		"bridge_ciphers":                 "ciphers",
		"bridge_bind_address":            "bind",
		"bridge_session_expiry_interval": "session-expiry",
	}
}

// bridgeSwitches are those that are true or false.
func bridgeSwitches() map[string]string {
	return map[string]string{
		"bridge_insecure":         "insecure",
		"bridge_tls_use_os_certs": "tls-use-os-certs",
		"bridge_tcp_nodelay":      "nodelay",
	}
}

// bridgeProperties are those that are properties of CONNECT here.
func bridgeProperties() map[string]string {
	return map[string]string{
		"bridge_max_packet_size": "maximum-packet-size",
		"bridge_receive_maximum": "receive-maximum",
		"bridge_max_topic_alias": "topic-alias-maximum",
	}
}

// bridgeUnknown says why others are nothing.
func bridgeUnknown() map[string]string {
	return map[string]string{
		"topic":           "what a bridge copies from one broker to the other; iotctl sub -t FILTER receives it",
		"bridge_identity": "TLS with a pre-shared key is not supported",
		"bridge_psk":      "TLS with a pre-shared key is not supported",
	}
}

func isBridge(line string) bool {
	words := strings.Fields(line)
	return len(words) == 2 && words[0] == "connection"
}

// importBridges makes a profile of each bridge: of its remote end.
func importBridges(lines []string) []Imported {
	var all []Imported
	var m *importer
	elsewhere := newImporter("")
	finish := func() {
		if m != nil {
			all = append(all, m.imported())
		}
	}
	for _, line := range lines {
		line = strings.TrimSpace(line)
		end := strings.IndexAny(line+" ", " \t")
		key, value := line[:end], strings.TrimSpace(line[end:])
		switch {
		case key == "" || key[0] == '#':
		case key == "connection":
			finish()
			m = newImporter(value)
			m.p.About = fmt.Sprintf("the other end of mosquitto's bridge %q", value)
		case m == nil || key == "listener":
			elsewhere.not(key, "is of the broker, not of a bridge")
		default:
			m.bridge(key, value)
		}
	}
	finish()
	all[0].Notes = append(elsewhere.notes, all[0].Notes...)
	return unique(all)
}

func (m *importer) bridge(key, value string) {
	option, flag, prop := bridgeKeys()[key], bridgeSwitches()[key], bridgeProperties()[key]
	switch {
	case key == "address" || key == "addresses":
		m.bridgeAddress(key, value)
	case key == "bridge_protocol_version":
		version, ok := map[string]string{"mqttv31": "31", "mqttv311": "311", "mqttv50": "5"}[value]
		if !ok {
			m.not(key, fmt.Sprintf("%q is no version", value))
			return
		}
		m.as(key, "protocol-version", version)
	case key == "cleansession":
		if value == "true" {
			m.not(key, "that is how it is")
			return
		}
		m.is(key, Setting{Option: "disable-clean-session"})
	case flag != "" && value == "true":
		m.is(key, Setting{Option: flag})
	case flag != "":
		m.not(key, "that is how it is")
	case prop != "":
		m.is(key, property("connect", prop, value))
	case option != "" && value != "":
		m.as(key, option, value)
	case bridgeUnknown()[key] != "":
		m.not(key, bridgeUnknown()[key])
	case strings.HasPrefix(key, "local_"):
		m.not(key, "is about the near end")
	default:
		m.not(key, "is about how the broker runs the bridge")
	}
}

func (m *importer) bridgeAddress(key, value string) {
	addresses := strings.Fields(value)
	if len(addresses) == 0 {
		m.not(key, "has no value")
		return
	}
	settings := []Setting{{Option: "host", Value: strings.Trim(addresses[0], "[]")}}
	if host, port, err := net.SplitHostPort(addresses[0]); err == nil {
		settings = []Setting{{Option: "host", Value: host}, {Option: "port", Value: port}}
	}
	m.is(key, settings...)
	if len(addresses) > 1 {
		m.not(key, "a profile is of one broker, so these are left out: "+strings.Join(addresses[1:], " "))
	}
}
