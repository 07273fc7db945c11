package display

import (
	"slices"
	"strings"
	"time"

	"github.com/iotctl/iotctl/internal/decode"
	"github.com/iotctl/iotctl/internal/dissect"
	"github.com/iotctl/iotctl/internal/selector"
)

// Subject answers what expressions ask about packets. The names are those of the
// fields, and these:
//
//	type, protocol, version, direction, stream, number, size, time (s since the
//	first packet), answers, after, error, warning, summary
//	client, user   of the CONNECT or so of the stream, too
//	topic, filter, qos, id, code, payload   whatever the protocol calls them
//
// It belongs to one goroutine.
type Subject struct {
	// Start is what time is counted from; zero: the first packet.
	Start time.Time
	// Secrets: those may be asked for.
	Secrets bool

	p      *decode.Packet
	known  map[*decode.Stream]*identity
	values []selector.Value
	found  map[string]bool // by what was asked for: whether a packet has had it
	one    [1]string
	bare   bool // without what values are called
}

// identity is who the client of a stream says that it is.
type identity struct{ client, user string }

// maxIdentities bounds what is remembered of streams that have ended unseen.
const maxIdentities = 1 << 20

// Of makes s be about p, which it remembers the client of.
func (s *Subject) Of(p *decode.Packet) *Subject {
	s.p = p
	if s.Start.IsZero() {
		s.Start = p.Time
	}
	if p.Fields != nil && p.Stream != nil && introduces(p.Type) {
		s.learn()
	}
	return s
}

// Forget says that nothing more comes of a stream.
func (s *Subject) Forget(stream *decode.Stream) { delete(s.known, stream) }

// introduces reports whether packets of the type say who the client is.
func introduces(name string) bool {
	return name == "CONNECT" || name == "login" || strings.HasPrefix(name, "regist")
}

func (s *Subject) learn() {
	who := &identity{}
	for _, name := range []string{"client", "user"} {
		s.values = s.values[:0]
		s.named(s.p.Fields, aliases[name], false, false)
		for _, v := range s.values {
			text := v.String()
			if name == "client" && who.client == "" {
				who.client = text
			} else if name == "user" && who.user == "" {
				who.user = text
			}
		}
	}
	if s.known == nil || len(s.known) >= maxIdentities {
		s.known = map[*decode.Stream]*identity{}
	}
	s.known[s.p.Stream] = who
}

// aliases are the names that several protocols have for the same.
var aliases = map[string][]string{
	"client":  {"client", "client-id", "client-identifier", "assigned-client-identifier", "device"},
	"user":    {"user", "user-name", "username"},
	"topic":   {"topic", "topic-name", "short-topic", "uri-path"},
	"filter":  {"filter", "topic-filter"},
	"id":      {"id", "packet-identifier", "packet-id", "message-identifier", "message-id"},
	"code":    {"code", "reason-code", "return-code", "reason"},
	"payload": {"payload", "message", "application-message"},
	"dup":     {"dup", "duplicate"},
}

// Quick reports whether name is known without the fields of a packet.
func Quick(name string) bool {
	switch name {
	case "type", "protocol", "version", "direction", "stream", "number", "size", "time", "answers", "after", "error", "warning":
		return true
	}
	return false
}

// Lookup implements selector.Subject.
func (s *Subject) Lookup(name string) []selector.Value {
	values := s.look(name)
	if found, asked := s.found[name]; !asked || !found && len(values) > 0 {
		if s.found == nil {
			s.found = map[string]bool{}
		}
		s.found[name] = len(values) > 0
	}
	return values
}

// Missing lists those of names that were asked for, and that no packet has had.
func (s *Subject) Missing(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool {
		found, asked := s.found[n]
		return found || !asked
	})
}

func (s *Subject) look(name string) []selector.Value {
	s.values = s.values[:0]
	if s.lookup(name) {
		return s.values
	}
	names, ok := aliases[name]
	if !ok {
		s.one[0] = name
		names = s.one[:]
	}
	s.named(s.p.Fields, names, !s.bare, false)
	if len(s.values) == 0 { // flags have the names of what they announce
		s.named(s.p.Fields, names, !s.bare, true)
	}
	if len(s.values) == 0 {
		s.who(name)
	}
	return s.values
}

func (s *Subject) add(v selector.Value) bool {
	s.values = append(s.values, v)
	return true
}

// lookup finds what is no field.
func (s *Subject) lookup(name string) bool {
	p := s.p
	switch name {
	case selector.NameType:
		s.add(selector.Text(p.Type))
		if _, last, ok := strings.Cut(p.Type, " "); ok && !s.bare { // "CON GET"
			s.add(selector.Text(last))
			first, _, _ := strings.Cut(p.Type, " ")
			s.add(selector.Text(first))
		}
		return true
	case selector.NameDirection:
		switch p.Direction {
		case dissect.FromClient:
			s.add(selector.Text(selector.ToServer))
		case dissect.FromServer:
			s.add(selector.Text(selector.ToClient))
		}
		return true
	case "protocol":
		return s.add(selector.Text(p.Protocol))
	case "version":
		if p.Version != "" {
			s.add(selector.Text(p.Version))
		}
		return true
	case "number":
		return s.add(selector.Int(int64(p.Number)))
	case "stream":
		if p.Stream != nil {
			s.add(selector.Int(int64(p.Stream.Number)))
		}
		return true
	case "size":
		return s.add(selector.Int(int64(len(p.Bytes))))
	case "time":
		if !p.Time.IsZero() {
			s.add(selector.Duration(p.Time.Sub(s.Start)))
		}
		return true
	case "summary":
		return s.add(selector.Text(p.Summary))
	case "answers":
		if p.Answers > 0 {
			s.add(selector.Int(int64(p.Answers)))
		}
		return true
	case "after":
		if p.Answers > 0 && !p.Time.IsZero() {
			s.add(selector.Duration(p.After))
		}
		return true
	case "error", "warning":
		s.wrong(name == "warning")
		return true
	}
	return false
}

// wrong adds what is wrong, or looks so.
func (s *Subject) wrong(warnings bool) {
	for i := range s.p.Problems {
		if q := &s.p.Problems[i]; q.Warning == warnings {
			s.add(selector.Text(q.Text))
		}
	}
	if s.p.Err != nil && !warnings {
		s.add(selector.Text(s.p.Err.Error()))
	}
}

// who adds what the stream has said about its client.
func (s *Subject) who(name string) {
	who := s.known[s.p.Stream]
	if who == nil {
		return
	}
	switch {
	case name == "client":
		s.add(selector.Text(who.client))
	case name == "user" && who.user != "":
		s.add(selector.Text(who.user))
	}
}

// named adds the values of the fields with one of names, those that are some bits or
// the others; with notes, what values are called, too.
func (s *Subject) named(fields []dissect.Field, names []string, notes, bits bool) {
	for i := range fields {
		f := &fields[i]
		if (f.Mask != 0) == bits && (!f.Secret || s.Secrets) && is(names, f.Name) {
			s.value(f, notes)
		}
		s.named(f.Kids, names, notes, bits)
	}
}

func is(names []string, field string) bool {
	for _, n := range names {
		if selector.Is(n, field) {
			return true
		}
	}
	return false
}

func (s *Subject) value(f *dissect.Field, notes bool) {
	if f.Value == nil {
		s.add(selector.Text(f.Note)) // it is there
		return
	}
	v, ok := selector.Of(f.Value)
	if !ok {
		return
	}
	s.add(v)
	if _, named := f.Value.(uint64); named && notes && f.Note != "" {
		s.add(selector.Text(f.Note))
	}
}
