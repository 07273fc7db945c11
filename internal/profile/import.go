package profile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// Imported is a profile made of another program's settings, with an account of each of
// them.
type Imported struct {
	Profile *Profile
	Notes   []Note
}

// Note says what has become of a key of another program.
type Note struct {
	Key string
	To  []Setting // what it is now; nil = nothing
	Why string    // it is nothing, or how it differs
}

// ErrUnrecognised says that a file is of none of the kinds that Import knows.
var ErrUnrecognised = errors.New("neither settings of MQTTX (options or ~/.mqttx-cli/config of its command line, an export of its window as JSON or YAML), nor of HiveMQ's mqtt-cli (config.properties), nor bridges of mosquitto.conf, nor default options of mosquitto's clients")

// Import recognises the settings of other programs by their content, and names them.
// name is for a profile that has none. The default options of mosquitto's clients are
// not among them: they are options, of which this package knows nothing.
func Import(name string, text []byte) (kind string, all []Imported, err error) {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	if doc := document(text); doc != nil {
		switch {
		case isDesktop(doc):
			return "MQTTX, exported connections", importDesktop(doc), nil
		case isMQTTXOptions(doc):
			return "MQTTX, saved options of its command line", importMQTTXOptions(name, doc), nil
		}
	}
	lines := strings.Split(string(text), "\n")
	switch {
	case slices.ContainsFunc(lines, func(l string) bool { return strings.TrimSpace(l) == "[mqtt]" }):
		return "MQTTX, configuration of its command line", importMQTTXConfig(name, lines), nil
	case slices.ContainsFunc(lines, isBridge):
		return "mosquitto, bridges", importBridges(lines), nil
	case slices.ContainsFunc(lines, isHiveMQ):
		all, err := importHiveMQ(name, lines)
		return "HiveMQ's mqtt-cli", all, err
	}
	return "", nil, ErrUnrecognised
}

// document is the content of JSON or YAML: a mapping or a list; nil if it is none.
func document(text []byte) *yaml.Node {
	if json.Valid(text) { // YAML does not know every escape of JSON
		n, err := jsonNode(json.NewDecoder(bytes.NewReader(text)))
		if err != nil {
			return nil
		}
		return n
	}
	var doc yaml.Node
	if yaml.Unmarshal(text, &doc) != nil || len(doc.Content) == 0 || doc.Content[0].Kind == yaml.ScalarNode {
		return nil
	}
	return doc.Content[0]
}

// maxDepth bounds how deep JSON goes.
const maxDepth = 64

func jsonNode(d *json.Decoder) (*yaml.Node, error) {
	d.UseNumber()
	return jsonValue(d, 0)
}

func jsonValue(d *json.Decoder, depth int) (*yaml.Node, error) {
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	if depth > maxDepth {
		return nil, fmt.Errorf("more than %d levels", maxDepth)
	}
	delim, isDelim := token.(json.Delim)
	if !isDelim {
		if token == nil {
			return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null"}, nil
		}
		return &yaml.Node{Kind: yaml.ScalarNode, Value: fmt.Sprint(token)}, nil
	}
	n := &yaml.Node{Kind: yaml.SequenceNode}
	if delim == '{' {
		n.Kind = yaml.MappingNode
	}
	for d.More() {
		item, err := jsonValue(d, depth+1)
		if err != nil {
			return nil, err
		}
		n.Content = append(n.Content, item)
	}
	_, err = d.Token()
	return n, err
}

// importer collects what becomes of the keys of one profile.
type importer struct {
	p     *Profile
	notes []Note
}

func newImporter(name string) *importer {
	return &importer{p: &Profile{Name: Name(name)}}
}

// imported is the profile. A session is kept for a client that has an identifier.
func (m *importer) imported() Imported {
	const kept = "disable-clean-session"
	if m.has(kept) && !m.has("id") {
		m.p.Settings = slices.DeleteFunc(m.p.Settings, func(s Setting) bool { return s.Option == kept })
		for i, n := range m.notes {
			if len(n.To) > 0 && n.To[0].Option == kept {
				m.notes[i] = Note{Key: n.Key, Why: "a session is kept for a client identifier, and there is none"}
			}
		}
	}
	return Imported{m.p, m.notes}
}

// is says that key has become options.
func (m *importer) is(key string, settings ...Setting) {
	m.p.Settings = append(m.p.Settings, settings...)
	m.notes = append(m.notes, Note{Key: key, To: settings})
}

// as says that key has become one option, for all commands.
func (m *importer) as(key, option, value string) { m.is(key, Setting{Option: option, Value: value}) }

// not says why key has become nothing.
func (m *importer) not(key, why string) { m.notes = append(m.notes, Note{Key: key, Why: why}) }

// property is a property for -D.
func property(words ...string) Setting {
	return Setting{Option: "property", Value: Quote(words...)}
}

func (m *importer) has(option string) bool {
	return slices.ContainsFunc(m.p.Settings, func(s Setting) bool { return s.Option == option })
}

// Name makes a name of a profile of what something else is called.
func Name(s string) string {
	var b strings.Builder
	for _, r := range strings.TrimSpace(s) {
		switch {
		case r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '_':
			b.WriteRune(r)
		case !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	name := strings.Trim(b.String(), ".-")
	if len(name) > 64 {
		name = name[:64]
	}
	if name == "" {
		return "imported"
	}
	return name
}

// unique gives profiles of the same name different ones.
func unique(all []Imported) []Imported {
	taken := map[string]bool{}
	for _, one := range all {
		name := one.Profile.Name
		for n := 2; taken[one.Profile.Name]; n++ {
			one.Profile.Name = fmt.Sprintf("%s-%d", name[:min(len(name), 58)], n)
		}
		taken[one.Profile.Name] = true
	}
	return all
}
