package profile

import (
	"bytes"
	"errors"
	"slices"

	"gopkg.in/yaml.v3"
)

// Text is the profile as a file.
func (p *Profile) Text(schema *Schema) ([]byte, error) {
	top := &yaml.Node{Kind: yaml.MappingNode}
	if p.About != "" {
		put(top, keyAbout, scalar(p.About))
	}
	if p.Extends != "" {
		put(top, keyExtends, scalar(p.Extends))
	}
	sections := []string{""}
	for _, s := range p.Settings {
		if !slices.Contains(sections, s.Command) {
			sections = append(sections, s.Command)
		}
	}
	for _, command := range sections {
		at := top
		if command != "" {
			at = &yaml.Node{Kind: yaml.MappingNode}
			put(top, command, at)
		}
		for _, s := range p.Settings {
			if s.Command == command {
				addSetting(at, s, schema)
			}
		}
	}
	return marshal(top)
}

func marshal(n *yaml.Node) ([]byte, error) {
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	err := errors.Join(e.Encode(n), e.Close())
	return b.Bytes(), err
}

func scalar(v string) *yaml.Node {
	n := &yaml.Node{}
	n.SetString(v)
	return n
}

// put sets a key.
func put(m *yaml.Node, key string, value *yaml.Node) {
	if old := lookup(m, key); old != nil {
		*old = *value
		return
	}
	m.Content = append(m.Content, scalar(key), value)
}

func lookup(m *yaml.Node, key string) *yaml.Node {
	for i := 0; i < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			return m.Content[i+1]
		}
	}
	return nil
}

func addSetting(m *yaml.Node, s Setting, schema *Schema) {
	if key, value := passwordNode(s); value != nil {
		put(m, key, value)
		return
	}
	o := schema.option(s.Option)
	switch {
	case o != nil && o.Switch:
		n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: "true"}
		if s.Off {
			n.Value = "false"
		}
		put(m, s.Option, n)
	case o != nil && (o.Repeats || o.Words):
		list := lookup(m, s.Option)
		if list == nil {
			list = &yaml.Node{Kind: yaml.SequenceNode}
			put(m, s.Option, list)
		}
		list.Content = append(list.Content, scalar(s.Value))
	default:
		put(m, s.Option, plain(s.Value))
	}
}

// plain is a value without quotation marks where it is a number.
func plain(v string) *yaml.Node {
	if digits(v) {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: v}
	}
	return scalar(v)
}

func digits(v string) bool {
	for _, r := range v {
		if r < '0' || r > '9' {
			return false
		}
	}
	return v != ""
}

// passwordNode is the key of files for an option; nil if it has none.
func passwordNode(s Setting) (string, *yaml.Node) {
	by := func(how string, v *yaml.Node) *yaml.Node {
		return &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle, Content: []*yaml.Node{scalar(how), v}}
	}
	switch s.Option {
	case optionPassword:
		return keyPassword, scalar(s.Value)
	case optionKeyring:
		return keyPassword, by("keyring", scalar(s.Value))
	case optionCommand:
		return keyPassword, by("command", scalar(s.Value))
	case optionFile:
		return keyPassword, by("file", scalar(s.Value))
	case optionAsk:
		if !s.Off {
			return keyPassword, by("ask", &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: "true"})
		}
	}
	return "", nil
}

// SetPassword is text, a profile, with another password, or another place of it; the
// rest stays as it is, comments included.
func SetPassword(text []byte, s Setting) ([]byte, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, err
	}
	top := &yaml.Node{Kind: yaml.MappingNode}
	if len(doc.Content) > 0 {
		top = doc.Content[0]
	}
	if top.Kind != yaml.MappingNode {
		return nil, errors.New("the profile has no keys")
	}
	for _, name := range []string{optionPassword, optionKeyring, optionCommand, optionFile, optionAsk} {
		for i := 0; i < len(top.Content); i += 2 {
			if top.Content[i].Value == name {
				top.Content = slices.Delete(top.Content, i, i+2)
				break
			}
		}
	}
	key, value := passwordNode(s)
	put(top, key, value)
	if len(doc.Content) == 0 {
		return marshal(top)
	}
	return marshal(&doc)
}
