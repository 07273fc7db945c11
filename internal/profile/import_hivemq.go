package profile

import (
	"fmt"
	"strconv"
	"strings"
)

// hiveMQKeys are those of ~/.mqtt-cli/config.properties that are options here.
func hiveMQKeys() map[string]string {
	return map[string]string{
		"mqtt.host":          "host",
		"mqtt.port":          "port",
		"client.id.prefix":   "id-prefix",
		"ws.path":            "ws-path",
		"auth.username":      "username",
		"auth.password":      optionPassword,
		"auth.password.file": optionFile,
		"auth.client.cert":   "cert",
		"auth.client.key":    "key",
		"auth.server.cafile": "cafile",
	}
}

// hiveMQUnknown says why others are not.
func hiveMQUnknown() map[string]string {
	return map[string]string{
		"client.id.length":                  "what follows the prefix is the number of the process",
		"client.subscribe.output":           "the shell writes files: iotctl sub … > FILE",
		"logfile.level":                     "there is no log file; -d shows packets",
		"logfile.path":                      "there is no log file; -d shows packets",
		"auth.client.key.password":          "a private key with a password is not supported: openssl pkey -in KEY -out NEW takes it off",
		"auth.keystore":                     "keys are PEM files here: openssl pkcs12 -in STORE.p12 -nodes -out client.pem, then cert and key",
		"auth.keystore.password":            "see auth.keystore",
		"auth.keystore.privatekey.password": "see auth.keystore",
		"auth.truststore":                   "authorities are PEM files here: keytool -exportcert -rfc, then cafile",
		"auth.truststore.password":          "see auth.truststore",
	}
}

func isHiveMQ(line string) bool {
	key, _, ok := cutProperty(line)
	return ok && (hiveMQKeys()[key] != "" || hiveMQUnknown()[key] != "" || key == "mqtt.version" || key == "auth.password.env")
}

func importHiveMQ(name string, lines []string) ([]Imported, error) {
	m := newImporter(name)
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		for odd(line) && i+1 < len(lines) { // goes on in the next line
			i++
			line = strings.TrimRight(line, "\r")
			line = line[:len(line)-1] + strings.TrimLeft(lines[i], " \t\f")
		}
		key, value, ok := cutProperty(line)
		if !ok {
			continue
		}
		value, err := unescape(value)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		m.hiveMQ(key, value)
	}
	if (m.has("cert") || m.has("key")) && !m.has("cafile") {
		m.is("(a client certificate)", Setting{Option: "tls"}) // which it switches on there
	}
	return []Imported{m.imported()}, nil
}

func (m *importer) hiveMQ(key, value string) {
	option := hiveMQKeys()[key]
	switch {
	case value == "":
		m.not(key, "has no value")
	case key == "mqtt.version" && value == "3":
		m.as(key, "protocol-version", "311")
	case key == "mqtt.version" && value == "5":
		m.as(key, "protocol-version", "5")
	case key == "auth.password.env":
		m.as(key, optionCommand, Quote("printenv", value))
	case option != "":
		m.as(key, option, value)
	case hiveMQUnknown()[key] != "":
		m.not(key, hiveMQUnknown()[key])
	default:
		m.not(key, "mqtt-cli has no such key")
	}
}

// cutProperty reads a line of a properties file: key and value, with = : or blanks
// between.
func cutProperty(line string) (key, value string, ok bool) {
	line = strings.TrimLeft(strings.TrimRight(line, "\r"), " \t\f")
	if line == "" || line[0] == '#' || line[0] == '!' {
		return "", "", false
	}
	end := strings.IndexAny(line, "=: \t\f")
	if end < 0 {
		return line, "", true
	}
	key, rest := line[:end], strings.TrimLeft(line[end:], " \t\f")
	if rest != "" && (rest[0] == '=' || rest[0] == ':') {
		rest = strings.TrimLeft(rest[1:], " \t\f")
	}
	return key, rest, true
}

// odd tells whether a line ends with a backslash that is not the second of two.
func odd(line string) bool {
	line = strings.TrimRight(line, "\r")
	trimmed := strings.TrimRight(line, `\`)
	first := strings.TrimLeft(line, " \t\f")
	return (len(line)-len(trimmed))%2 == 1 && !strings.HasPrefix(first, "#") && !strings.HasPrefix(first, "!")
}

// unescape takes the backslashes of a value away.
func unescape(s string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		switch s[i] {
		case 't':
			b.WriteByte('\t')
		case 'n':
			b.WriteByte('\n')
		case 'r':
			b.WriteByte('\r')
		case 'f':
			b.WriteByte('\f')
		case 'u':
			if i+4 >= len(s) {
				return "", fmt.Errorf(`\u wants four digits`)
			}
			n, err := strconv.ParseUint(s[i+1:i+5], 16, 16)
			if err != nil {
				return "", fmt.Errorf(`\u wants four digits`)
			}
			b.WriteRune(rune(n))
			i += 4
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String(), nil
}
