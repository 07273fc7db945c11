package profile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/iotctl/iotctl/internal/spelling"
)

// Keys that are no options.
const (
	keyAbout   = "about"
	keyExtends = "extends"
)

// Parse reads a profile. Its errors, joined, begin with path and line.
func Parse(name, path string, text []byte, schema *Schema) (*Profile, error) {
	p := &Profile{Name: name, Path: path}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("%s: %s", path, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if len(doc.Content) == 0 {
		return p, nil // nothing but comments
	}
	r := reader{p: p, schema: schema}
	r.mapping(doc.Content[0], "")
	return p, errors.Join(r.errs...)
}

type reader struct {
	p      *Profile
	schema *Schema
	errs   []error
}

func (r *reader) wrong(n *yaml.Node, format string, a ...any) {
	r.errs = append(r.errs, fmt.Errorf("%s:%d: %s", r.p.Path, n.Line, fmt.Sprintf(format, a...)))
}

// mapping reads the keys for one command, or for all.
func (r *reader) mapping(n *yaml.Node, command string) {
	if n.Kind != yaml.MappingNode {
		r.wrong(n, "must be keys with values, as in url: mqtts://broker.example")
		return
	}
	seen := map[string]bool{}
	for i := 0; i < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if seen[key.Value] {
			r.wrong(key, "the key %q is there twice", key.Value)
			continue
		}
		seen[key.Value] = true
		if value.Kind == yaml.AliasNode {
			value = value.Alias
		}
		r.key(key, value, command)
	}
}

func (r *reader) key(key, value *yaml.Node, command string) {
	top := command == ""
	switch {
	case top && key.Value == keyAbout:
		r.p.About = r.text(key, value)
		return
	case top && key.Value == keyExtends:
		r.p.Extends = r.text(key, value)
		return
	case key.Value == keyPassword:
		r.password(key, value, command)
		return
	case top && slices.Contains(r.schema.Commands, key.Value) && r.schema.option(key.Value) == nil:
		r.mapping(value, key.Value)
		return
	}
	o := r.schema.option(key.Value)
	switch {
	case o == nil:
		r.wrong(key, "unknown key %q%s", key.Value, r.near(key.Value, command))
	case !top && !slices.Contains(o.Commands, command):
		r.wrong(key, "iotctl %s has no option --%s", command, o.Name)
	default:
		r.option(o, key, value, command)
	}
}

// near is the hint for a key that there is not.
func (r *reader) near(word, command string) string {
	names := []string{keyPassword}
	if command == "" {
		names = append(names, keyAbout, keyExtends)
		names = append(names, r.schema.Commands...)
	}
	for _, o := range r.schema.Options {
		if command == "" || slices.Contains(o.Commands, command) {
			names = append(names, o.Name)
		}
	}
	best, least := "", min(4, len(word)/3+2)
	for _, n := range names {
		if d := spelling.Distance(strings.ReplaceAll(word, "_", "-"), n); d < least {
			best, least = n, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

func (r *reader) option(o *Option, key, value *yaml.Node, command string) {
	add := func(n *yaml.Node, v string) {
		if o.Path {
			v = r.resolve(v)
		}
		r.p.Settings = append(r.p.Settings, Setting{Command: command, Option: o.Name, Value: v, Line: n.Line})
	}
	switch {
	case value.Kind == yaml.ScalarNode && value.Tag == "!!null":
		r.wrong(value, "%s has no value", key.Value)
	case o.Switch:
		on, ok := r.flag(value)
		if !ok {
			r.wrong(value, "%s must be true or false", key.Value)
			return
		}
		r.p.Settings = append(r.p.Settings, Setting{Command: command, Option: o.Name, Off: !on, Line: value.Line})
	case value.Kind == yaml.ScalarNode:
		add(value, value.Value)
	case value.Kind == yaml.MappingNode && o.Name == "payload":
		r.rules(value, add)
	case value.Kind == yaml.SequenceNode && (o.Repeats || o.Words):
		for _, item := range value.Content {
			r.item(o, key, item, add)
		}
	default:
		r.wrong(value, "%s must be one value", key.Value)
	}
}

// item is a value of an option that may have several.
func (r *reader) item(o *Option, key, item *yaml.Node, add func(*yaml.Node, string)) {
	words, ok := scalars(item)
	switch {
	case item.Kind == yaml.ScalarNode:
		add(item, item.Value)
	case o.Words && ok:
		add(item, Quote(words...))
	default:
		r.wrong(item, "%s: must be a list of values", key.Value)
	}
}

// rules are payload rules by topic filter.
func (r *reader) rules(n *yaml.Node, add func(*yaml.Node, string)) {
	for i := 0; i < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if value.Kind != yaml.ScalarNode || value.Tag == "!!null" {
			r.wrong(value, "payload: %s: must be a format, as in gzip|json", key.Value)
			continue
		}
		add(value, key.Value+"="+value.Value)
	}
}

// password is a text, or one of keyring, command, file and ask.
func (r *reader) password(key, value *yaml.Node, command string) {
	set := func(n *yaml.Node, option, v string) {
		r.p.Settings = append(r.p.Settings, Setting{Command: command, Option: option, Value: v, Line: n.Line})
	}
	if value.Kind == yaml.ScalarNode && value.Tag != "!!null" {
		set(value, optionPassword, value.Value)
		return
	}
	if value.Kind != yaml.MappingNode || len(value.Content) != 2 {
		r.wrong(key, "password must be a text, or one of keyring: NAME, command: PROGRAM, file: FILE and ask: true in braces")
		return
	}
	how, v := value.Content[0], value.Content[1]
	words, list := scalars(v)
	switch {
	case how.Value == "command" && list && len(words) > 0:
		set(v, optionCommand, Quote(words...))
	case v.Kind != yaml.ScalarNode || v.Value == "":
		r.wrong(v, "password: %s has no value", how.Value)
	case how.Value == "command":
		set(v, optionCommand, v.Value)
	case how.Value == "keyring":
		set(v, optionKeyring, v.Value)
	case how.Value == "file":
		set(v, optionFile, r.resolve(v.Value))
	case how.Value == "ask":
		on, ok := r.flag(v)
		if !ok {
			r.wrong(v, "password: ask must be true or false")
		}
		r.p.Settings = append(r.p.Settings, Setting{Command: command, Option: optionAsk, Off: !on, Line: v.Line})
	default:
		r.wrong(how, "password: unknown key %q: must be keyring, command, file or ask", how.Value)
	}
}

func (r *reader) text(key, n *yaml.Node) string {
	if n.Kind != yaml.ScalarNode {
		r.wrong(n, "%s must be a text", key.Value)
	}
	return n.Value
}

func (r *reader) flag(n *yaml.Node) (on, ok bool) {
	on = n.Value == "true"
	return on, n.Kind == yaml.ScalarNode && (on || n.Value == "false")
}

// scalars are the items of a list of texts.
func scalars(n *yaml.Node) ([]string, bool) {
	if n.Kind != yaml.SequenceNode {
		return nil, false
	}
	var words []string
	for _, item := range n.Content {
		if item.Kind != yaml.ScalarNode {
			return nil, false
		}
		words = append(words, item.Value)
	}
	return words, true
}

// resolve finds a file from wherever the profile is used: ~/ is the user's home, and
// what is relative lies beside the profile.
func (r *reader) resolve(name string) string {
	if rest, ok := strings.CutPrefix(name, "~/"); ok {
		if home, err := os.UserHomeDir(); err == nil {
			return filepath.Join(home, rest)
		}
	}
	if name == "" || name == "-" || filepath.IsAbs(name) || r.p.Path == "" {
		return name
	}
	return filepath.Join(filepath.Dir(r.p.Path), name)
}
