package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/iotctl/iotctl/internal/client"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/format"
	"github.com/iotctl/iotctl/internal/framing"
)

// recordSource is --jsonl: an object of iotctl sub -o jsonl per message, in a line,
// or in several as jq spreads them.
type recordSource struct {
	s       *settings
	in      *framing.Reader
	limit   int            // of an object, in bytes
	message client.Message // what lines may leave out

	ahead  []byte // a line that has been read, and belongs to the next object
	held   bool   // ahead is one
	object []byte // the lines of an object
	line   int    // where it begins, from 1
}

func (r *recordSource) more() (bool, error) { return true, nil }

func (r *recordSource) next(time.Duration) (client.Message, error) {
	for {
		b, err := r.read()
		if err != nil {
			return client.Message{}, inputError(err)
		}
		if len(bytes.TrimSpace(b)) == 0 {
			continue
		}
		record, err := format.ParseRecord(b)
		if problem := (*format.RecordError)(nil); errors.As(err, &problem) {
			return client.Message{}, r.bad(b, problem)
		}
		if record.Gap && record.Topic == "" {
			continue
		}
		return r.convert(record)
	}
}

// bad says in which line and at which byte of it a record is wrong.
func (r *recordSource) bad(b []byte, problem *format.RecordError) error {
	before := b[:problem.Offset]
	line := r.line + bytes.Count(before, []byte("\n"))
	at := problem.Offset - bytes.LastIndexByte(before, '\n')
	return &badInput{where: fmt.Sprintf("line %d, byte %d", line, at), err: problem}
}

// read returns the lines of one object, or a line that begins none. It ends with
// the brace that closes it, or before a line that begins with a brace.
func (r *recordSource) read() ([]byte, error) {
	line, err := r.nextLine()
	r.line = r.in.N()
	if err != nil {
		return nil, err
	}
	var depth braces
	if depth.after(line); !depth.open() {
		return bytes.TrimRight(line, "\r"), nil
	}
	r.object = append(r.object[:0], line...)
	for depth.open() {
		line, err = r.nextLine()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if len(line) > 0 && line[0] == '{' {
			r.ahead, r.held = line, true
			break
		}
		if len(r.object)+len(line) > r.limit {
			return nil, fail(exitFailed, fmt.Errorf("the object that begins in line %d is longer than %d bytes", r.line, r.limit), "--max-line sets the limit")
		}
		depth.after(line)
		r.object = append(append(r.object, '\n'), line...)
	}
	return r.object, nil
}

func (r *recordSource) nextLine() ([]byte, error) {
	if r.held {
		r.held = false
		return r.ahead, nil
	}
	line, err := r.in.Next()
	if r.in.N() == 1 {
		line = bytes.TrimPrefix(line, []byte("\uFEFF")) // some systems begin files with it
	}
	return line, err
}

// braces follows JSON from line to line.
type braces struct {
	depth  int
	quoted bool
}

// open tells that more lines belong to the object. No string goes on in the next.
func (b *braces) open() bool { return b.depth > 0 && !b.quoted }

func (b *braces) after(line []byte) {
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '\\' && b.quoted:
			i++
		case c == '"':
			b.quoted = !b.quoted
		case b.quoted:
		case c == '{' || c == '[':
			b.depth++
		case c == '}' || c == ']':
			b.depth--
		}
	}
}

// convert makes a message of a record and of what the command line says.
func (r *recordSource) convert(record format.Record) (client.Message, error) {
	s, m := r.s, r.message
	bad := func(err error, hint string) (client.Message, error) {
		return m, &badInput{where: fmt.Sprintf("line %d", r.line), err: err, hint: hint}
	}
	if record.Topic != "" {
		m.Topic = record.Topic
	}
	if err := s.checkLineTopic(m.Topic); err != nil {
		return bad(err, "-t TOPIC is for lines without one")
	}
	if flags := s.device == nil || s.device.resumes; flags && s.qos >= 0 {
		if record.HasQoS {
			m.QoS = record.QoS
		}
		m.Retain = record.Retain || !record.HasRetain && m.Retain
	}
	if err := r.properties(&m, record.Properties); err != nil {
		return m, err
	}
	switch value := record.Value; {
	case record.Payload != nil:
		m.Payload = record.Payload
	case value == nil && record.Notation == "":
		return bad(errors.New("no payload in it"), `"payload":"" is an empty one`)
	case s.payloads.For(m.Topic) == nil:
		return bad(errors.New("a value, no payload, and no rule that makes one"), "--payload RULE: iotctl help payloads")
	default:
		if value == nil {
			value = []byte(record.Notation)
		}
		if err := s.typed(&m, value); err != nil {
			return bad(fmt.Errorf("value: %w", err), "")
		}
	}
	if len(m.Payload) > mqtt.MaxRemaining {
		return bad(fmt.Errorf("the payload has more than %d bytes", mqtt.MaxRemaining), "")
	}
	return m, nil
}

// checkLineTopic says what is wrong with the topic of a line.
func (s *settings) checkLineTopic(topic string) error {
	switch needless := s.device != nil && !s.device.topics; {
	case needless && topic != "":
		return fmt.Errorf("topic %q: messages of %s have none", topic, s.device.name)
	case needless:
		return nil
	case topic == "":
		return errors.New("no topic in it, and no -t")
	case s.device != nil && s.device.checkTopic != nil:
		return s.device.checkTopic(s, topic)
	}
	return nil
}

// properties takes over what the record has, but for what belongs to the connection
// that it came by, and from the command line what it has not.
func (r *recordSource) properties(m *client.Message, have mqtt.Properties) error {
	have = have.Without(mqtt.PropSubscriptionIdentifier, mqtt.PropTopicAlias)
	switch {
	case len(have) == 0:
		return nil
	case r.s.device != nil:
		return fail(exitUsage, fmt.Errorf("line %d has properties, and messages of %s have none", r.line, r.s.device.name), "jq -c 'del(.properties)'")
	case r.s.version != mqtt.V5:
		return fail(exitUsage, fmt.Errorf("line %d has properties, which need MQTT 5.0, not %s", r.line, r.s.version), "-V 5 speaks it; jq -c 'del(.properties)' does without")
	}
	all := have
	for q := range m.Properties.All() {
		if !have.Has(q.ID) {
			all = all[:len(all):len(all)].Append(q)
		}
	}
	m.Properties = all
	return nil
}
