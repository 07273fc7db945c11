package frame

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// Parse compiles a definition. file is how errors call it. The error joins
// everything that is wrong, each with its line.
func Parse(file string, src []byte) (*Codec, error) {
	if len(src) > MaxSource {
		return nil, fmt.Errorf("%s: a definition of %d bytes: at most %d", file, len(src), MaxSource)
	}
	var doc, more yaml.Node
	documents := yaml.NewDecoder(bytes.NewReader(src))
	err := documents.Decode(&doc)
	if errors.Is(err, io.EOF) || err == nil && len(doc.Content) != 1 {
		return nil, fmt.Errorf("%s: the file is empty: a definition begins with codec: its-name", file)
	}
	if err == nil {
		err = documents.Decode(&more)
	}
	switch {
	case err == nil:
		return nil, fmt.Errorf("%s:%d: a second definition: give it a file of its own", file, more.Line)
	case !errors.Is(err, io.EOF):
		return nil, fmt.Errorf("%s: %s", file, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	l := &loader{file: file, slots: map[string]int{}, text: map[int]bool{}, inline: map[string]*checksum{}, zone: time.UTC}
	c := l.load(doc.Content[0])
	if len(l.errs) > 0 {
		return nil, errors.Join(l.errs...)
	}
	return c, nil
}

// NameIn is what a definition calls itself that may be broken; "" if it does not.
func NameIn(src []byte) string {
	for line := range bytes.Lines(src) {
		if name, ok := bytes.CutPrefix(line, []byte("codec:")); ok {
			name, _, _ = bytes.Cut(name, []byte(" #"))
			return string(bytes.Trim(bytes.TrimSpace(name), `"'`))
		}
	}
	return ""
}

func (l *loader) load(n *yaml.Node) *Codec {
	m := l.mapping(n, "codec")
	c := &Codec{name: m.text("codec"), doc: m.text("doc")}
	if c.name == "" || strings.ContainsAny(c.name, " \t\n/+#${}\x00") {
		l.errorf(n, "codec: a name without spaces, / + and # is needed: codec: my-meter")
	}
	l.codec = c.name
	l.le = m.choice("endian", "be", "le") == "le"
	l.zone = l.tz(m)
	c.framing = l.loadFraming(m)
	c.plan = l.message(m, scope{})
	c.plan.label = "every frame"
	if s := m.get("session"); s != nil {
		c.session = l.session(s)
	}
	if u := m.get("uplink"); u != nil {
		c.uplink = l.uplink(u)
	}
	l.named(c.session.Require, m.get("session"))
	l.named(c.session.Before, m.get("session"))
	l.named(c.session.Keepalive.Messages, m.get("session"))
	if d := m.get("downlink"); d != nil {
		c.down = l.downlink(d)
	}
	if t := m.get("tests"); t != nil {
		c.vectors = l.vectors(t)
	}
	m.done()
	for _, v := range c.framing.variants {
		if v.plan == nil {
			v.plan = c.plan
		} else {
			v.plan.label = "variant " + v.label()
		}
	}
	for i := 0; i < len(l.pending); i++ {
		l.pending[i]()
	}
	c.slots = len(l.slots)
	c.messages, c.templates = l.messages, l.templates
	return c
}

// named complains about messages that the definition does not have.
func (l *loader) named(names []string, n *yaml.Node) {
	for _, name := range names {
		found := false
		var all []string
		for _, m := range l.messages {
			found = found || m.name == name
			if m.name != "" {
				all = append(all, m.name)
			}
		}
		if !found {
			l.errorf(n, "session: there is no message %q%s", name, suggest(name, all))
		}
	}
}

func (l *loader) session(n *yaml.Node) Session {
	m := l.mapping(n, "session")
	s := Session{
		Require:     m.texts("require"),
		Before:      m.texts("before"),
		IdleTimeout: m.duration("idle_timeout"),
		password:    -1,
	}
	if p := m.get("password"); p != nil {
		s.Password = p.Value
		slot, ok := l.lookup(p.Value, scope{})
		if !ok {
			slot, ok = l.foreign(p.Value)
		}
		if !ok {
			l.unknown(p, "session: password", p.Value, "")
		}
		s.password = slot
	}
	if k := m.get("keepalive"); k != nil {
		km := l.mapping(k, "session: keepalive")
		s.Keepalive = Keepalive{Messages: km.texts("messages"), Timeout: km.duration("timeout")}
		if s.Keepalive.Timeout == 0 || len(s.Keepalive.Messages) == 0 {
			l.errorf(k, "session: keepalive needs messages and timeout: {messages: [heartbeat], timeout: 6m}")
		}
		km.done()
	}
	m.done()
	return s
}

func (l *loader) uplink(n *yaml.Node) Uplink {
	m := l.mapping(n, "uplink")
	u := Uplink{field: -1, QoS: byte(m.number("qos", 0, 0, 2)), Retain: m.flag("retain", false)}
	if t := m.get("topic"); t != nil {
		u.topic = l.topic(t, "uplink: topic", false)
		u.Topic = u.topic.text
	} else {
		l.errorf(n, "uplink: topic is missing: topic: %s/${device_id}/${message}", l.codec)
	}
	if p := m.get("payload"); p != nil {
		name, isField := strings.CutPrefix(p.Value, "field:")
		switch {
		case isField:
			u.Payload = PayloadField
			slot, ok := l.lookup(name, scope{})
			if !ok {
				slot, ok = l.foreign(name)
			}
			if !ok {
				l.unknown(p, "uplink: payload", name, "")
			}
			u.field = slot
		case p.Value == "json":
		case p.Value == "raw":
			u.Payload = PayloadRaw
		case p.Value == "hex":
			u.Payload = PayloadHex
		default:
			l.errorf(p, "uplink: payload: want json, raw, hex or field:name, have %s", describe(p))
		}
	}
	m.done()
	return u
}
