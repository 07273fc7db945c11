package mqttsn

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// PredefinedFile is a file of predefined topics, in one of the forms that gateways
// have for them. The client * is everybody.
//
//   - {id: 1, topic: a/b}             YAML: a list as in the settings, and EMQX's
//     dev: {1: a/b}                     YAML: clients with their identifiers, as of bisquitt
//     dev, a/b, 1                       CSV: client, topic and identifier, as of Paho;
//     there, COMMON is everybody, too
type PredefinedFile struct {
	Name   string
	topics []Predefined
}

// ReadFile takes the content of the file. An error names the file and the line of
// each problem.
func (f *PredefinedFile) ReadFile(name string, content []byte) error {
	f.Name, f.topics = name, nil
	r := &predefinedReader{name: name}
	if isCSV(content) {
		r.csv(content)
	} else {
		r.yaml(content)
	}
	f.topics = r.topics
	return errors.Join(r.errs...)
}

// isCSV looks at the first line that says something.
func isCSV(content []byte) bool {
	for line := range bytes.Lines(content) {
		line = bytes.TrimSpace(line)
		switch {
		case len(line) == 0, line[0] == '#', string(line) == "---":
			continue
		case line[0] == '[', line[0] == '{', bytes.HasPrefix(line, []byte("- ")), bytes.HasSuffix(line, []byte("}")):
			return false
		}
		return bytes.Count(line, []byte(",")) >= 2
	}
	return false
}

// predefinedReader collects topics and problems.
type predefinedReader struct {
	name   string // of the file
	topics []Predefined
	errs   []error
}

// mostProblems is how many problems of a file are told.
const mostProblems = 10

func (r *predefinedReader) wrong(line int, format string, args ...any) {
	if len(r.errs) < mostProblems {
		r.errs = append(r.errs, fmt.Errorf("%s:%d: %w", r.name, line, fmt.Errorf(format, args...)))
	}
}

func (r *predefinedReader) add(line int, client, topic, id string) {
	n, err := strconv.ParseUint(id, 10, 16)
	if err != nil {
		r.wrong(line, "id %q is not between 1 and %d", id, reservedTopicID-1)
		return
	}
	r.topics = append(r.topics, Predefined{ID: uint16(n), Topic: topic, Client: client, line: line})
}

// csv reads lines of client, topic and identifier. Nothing is quoted, so only the
// topic can have a comma.
func (r *predefinedReader) csv(content []byte) {
	n := 0
	for b := range bytes.Lines(content) {
		n++
		line := strings.TrimSpace(string(b))
		if line == "" || line[0] == '#' {
			continue
		}
		first, last := strings.IndexByte(line, ','), strings.LastIndexByte(line, ',')
		if first == last {
			r.wrong(n, "want client, topic, id")
			continue
		}
		client := strings.TrimSpace(line[:first])
		if client == "COMMON" {
			client = everybody
		}
		if client == "" {
			r.wrong(n, "there is no client; * is everybody")
			continue
		}
		r.add(n, client, strings.TrimSpace(line[first+1:last]), strings.TrimSpace(line[last+1:]))
	}
}

// yaml reads a list of topics, or clients with theirs.
func (r *predefinedReader) yaml(content []byte) {
	var doc yaml.Node
	if err := yaml.Unmarshal(content, &doc); err != nil {
		r.errs = append(r.errs, fmt.Errorf("%s: %w", r.name, err)) // it has the line
		return
	}
	if len(doc.Content) == 0 || doc.Content[0].Tag == "!!null" {
		return // an empty file
	}
	switch root := doc.Content[0]; root.Kind {
	case yaml.SequenceNode:
		for _, n := range root.Content {
			r.entry(n)
		}
	case yaml.MappingNode:
		for client, topics := range pairs(root) {
			r.client(client.Value, topics)
		}
	default:
		r.wrong(root.Line, "want a list of topics, clients with topics, or lines of client, topic, id")
	}
}

// pairs are the keys and values of a mapping.
func pairs(n *yaml.Node) func(yield func(key, value *yaml.Node) bool) {
	return func(yield func(key, value *yaml.Node) bool) {
		for i := 0; i+1 < len(n.Content); i += 2 {
			if !yield(n.Content[i], n.Content[i+1]) {
				return
			}
		}
	}
}

// client reads the identifiers and topics of one client.
func (r *predefinedReader) client(client string, n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		r.wrong(n.Line, "want identifiers with topics for %q", client)
		return
	}
	for id, topic := range pairs(n) {
		if topic.Kind != yaml.ScalarNode {
			r.wrong(topic.Line, "want a topic for id %s", id.Value)
			continue
		}
		r.add(id.Line, client, topic.Value, id.Value)
	}
}

// entry reads one topic of a list.
func (r *predefinedReader) entry(n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		r.wrong(n.Line, "want id, topic and perhaps client")
		return
	}
	var id, topic, client string
	for key, value := range pairs(n) {
		switch {
		case value.Kind != yaml.ScalarNode:
			r.wrong(value.Line, "want a single value for %q", key.Value)
			return
		case key.Value == "id":
			id = value.Value
		case key.Value == "topic":
			topic = value.Value
		case key.Value == "client":
			client = value.Value
		default:
			r.wrong(key.Line, "unknown key %q; there are id, topic and client", key.Value)
			return
		}
	}
	r.add(n.Line, client, topic, id)
}
