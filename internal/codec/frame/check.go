package frame

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Report is what the vectors of a definition have shown.
type Report struct {
	Codec   string
	Vectors []VectorResult
	Unused  []Unused // what no vector has exercised
}

// VectorResult is the outcome of one entry of tests.
type VectorResult struct {
	Name     string   // its name, or its place: tests[2]
	Line     int      // in the YAML
	Problems []string // empty: it passed
	Bytes    []Comparison
}

// Comparison is a frame that is not the one that is wanted.
type Comparison struct {
	What      string // reply, refuse or frame
	Want, Got []byte
	Made      []Made // what Got consists of
}

// Made is a stretch of a frame and what the template says there: "7878" or
// "{serial}".
type Made struct {
	By       string
	Off, Len int
}

// Unused is a part of the definition that no vector reaches.
type Unused struct {
	What string // variant, message, reply, refusal, checksum, downlink
	Name string
	Line int // in the YAML
}

// Passed reports whether every vector passed.
func (r *Report) Passed() bool {
	return !slices.ContainsFunc(r.Vectors, func(v VectorResult) bool { return len(v.Problems) > 0 })
}

// checker runs the vectors of one codec.
type checker struct {
	c         *Codec
	problems  []string
	bytes     []Comparison
	variants  map[*variant]bool
	messages  map[*message]bool
	templates map[*template]bool
	badSum    bool
}

// Check runs the definition's own vectors (tests).
func (c *Codec) Check() *Report {
	ch := &checker{c: c, variants: map[*variant]bool{}, messages: map[*message]bool{}, templates: map[*template]bool{}}
	report := &Report{Codec: c.name}
	for i := range c.vectors {
		v := &c.vectors[i]
		ch.problems, ch.bytes = nil, nil
		if v.encode != nil {
			ch.downlink(v)
		} else {
			ch.uplink(v)
		}
		report.Vectors = append(report.Vectors, VectorResult{Name: v.name, Line: v.line, Problems: ch.problems, Bytes: ch.bytes})
	}
	report.Unused = ch.unused()
	return report
}

// clip bounds what a problem quotes.
func clip(b []byte) string {
	const most = 1024
	if len(b) > most {
		return strings.ToValidUTF8(string(b[:most]), "") + "..."
	}
	return string(b)
}

func (ch *checker) problem(format string, args ...any) {
	ch.problems = append(ch.problems, fmt.Sprintf(format, args...))
}

// uplink runs a vector that decodes.
func (ch *checker) uplink(v *vector) {
	s := ch.c.Splitter(v.dir)
	s.later = v.later
	f, n, err := s.Next(v.input)
	if errors.Is(err, ErrShort) && n < len(v.input) {
		rest := n
		f, n, err = s.Gap(v.input[rest:])
		n += rest
	}
	if err != nil {
		reason := strings.Join(ch.c.reasons(v.input, v.dir, v.later), "; ")
		switch {
		case v.err == "":
			ch.problem("no frame: %s", reason)
		case !strings.Contains(reason, v.err+":"):
			ch.problem("want the error %s, have: %s", v.err, reason)
		}
		ch.badSum = ch.badSum || v.err == "checksum" && strings.Contains(reason, "checksum:")
		return
	}
	ch.variants[f.variant] = true
	r := &Record{trace: func(m *message) { ch.messages[m] = true }}
	err = ch.c.Decode(f, v.dir, r)
	switch {
	case v.err == "field" && err != nil:
		return
	case v.err != "" && err != nil:
		ch.problem("want the error %s, have field: %v", v.err, err)
		return
	case v.err != "":
		ch.problem("want the error %s, but the frame is good: %s", v.err, clip(r.AppendJSON(nil)))
		return
	case err != nil:
		ch.problem("%v; so far: %s", err, clip(r.AppendJSON(nil)))
		return
	}
	if n < len(v.input) {
		ch.problem("%d bytes follow the frame of %d: % x", len(v.input)-n, n, v.input[n:min(n+16, len(v.input))])
	}
	if v.skipped >= 0 && s.Skipped() != v.skipped {
		ch.problem("skipped: want %d bytes in front of the frame, have %d", v.skipped, s.Skipped())
	}
	if v.want != nil {
		ch.compare(v, r)
	}
	if v.wantID && string(r.DeviceID()) != v.device {
		ch.problem("device_id: want %q, have %q", v.device, r.DeviceID())
	}
	if v.topic != "" {
		topic, err := ch.c.AppendTopic(nil, r, v.device)
		if err != nil || string(topic) != v.topic {
			ch.problem("topic: want %s, have %s (%v)", v.topic, topic, err)
		}
	}
	ch.answer(v, r, "reply", v.reply, r.reply)
	ch.answer(v, r, "refuse", v.refuse, r.refuse)
}

// compare holds the record against want.
func (ch *checker) compare(v *vector, r *Record) {
	text := r.AppendJSON(nil)
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var got any
	if err := d.Decode(&got); err != nil {
		ch.problem("the record is no valid JSON: %v: %s", err, text)
		return
	}
	where, how := v.want.differs("", got)
	if how == "" {
		return
	}
	place := ""
	if value, ok := r.Get(where); ok && value.Len > 0 {
		place = fmt.Sprintf(" (byte %d: % x)", r.frame.RawOffset(value.Off), r.rawBytes(value))
	}
	ch.problem("%s: %s%s", where, how, place)
}

func (ch *checker) answer(v *vector, r *Record, what string, want *[]byte, t *template) {
	if want == nil {
		return
	}
	got, ok, err := ch.c.answer(nil, r, t, v.env)
	switch {
	case err != nil:
		ch.problem("%v", err)
	case !ok && len(*want) > 0:
		ch.problem("%s: want % X, the definition gives none", what, *want)
	case ok && len(*want) == 0:
		ch.problem("%s: want none, have % X", what, got)
	case ok:
		ch.templates[t] = true
		ch.same(what, *want, got, t, r.scalar, nil, v.env)
	}
}

// downlink runs a vector that encodes.
func (ch *checker) downlink(v *vector) {
	t, get, err := ch.c.pick(v.encode)
	var got []byte
	if err == nil {
		got, err = t.build(nil, get, v.encode, v.env)
	}
	if err != nil {
		if v.err == "" {
			ch.problem("%v", err)
		}
		return
	}
	ch.templates[t] = true
	if v.err != "" {
		ch.problem("want an error, have % X", got)
		return
	}
	ch.same("frame", v.input, got, t, get, v.encode, v.env)
}

// same explains the first byte in which a frame is not the one that is wanted.
func (ch *checker) same(what string, want, got []byte, t *template, get values, payload []byte, env Env) {
	if bytes.Equal(want, got) {
		ch.framed(what, got, t)
		return
	}
	made := t.made(get, payload, env)
	ch.bytes = append(ch.bytes, Comparison{what, want, got, made})
	i := 0
	for i < len(want) && i < len(got) && want[i] == got[i] {
		i++
	}
	by := "its end"
	for _, m := range made {
		if m.Off <= i && i < m.Off+m.Len {
			by = m.By
		}
	}
	switch {
	case i == len(got):
		ch.problem("%s: it ends after %d bytes, %d are wanted", what, len(got), len(want))
	case i == len(want):
		ch.problem("%s: it has %d bytes, %d are wanted; byte %d is of %s", what, len(got), len(want), i, by)
	default:
		ch.problem("%s: byte %d (%s): want %02X, have %02X", what, i, by, want[i], got[i])
	}
}

// framed holds a frame that the definition makes against its own framing.
func (ch *checker) framed(what string, made []byte, t *template) {
	if t.variant == nil {
		return // it is none of the frames that framing describes
	}
	s := ch.c.Splitter(Down)
	s.later = true
	for data := made; len(data) > 0; {
		_, n, err := s.Gap(data)
		if err != nil || s.Skipped() > t.skip {
			ch.problem("%s: framing does not take % X: %s", what, made, strings.Join(ch.c.reasons(made[t.skip:], Down, true), "; "))
			return
		}
		data = data[n:]
	}
}

// made lists the parts of the template with the bytes that each has made.
func (t *template) made(get values, payload []byte, env Env) []Made {
	var all []Made
	var room []byte
	at := 0
	for k := range t.parts {
		p := &t.parts[k]
		from := len(room)
		var err error
		if room, _, err = p.append(room, get, payload, env); err != nil {
			return all
		}
		n := len(room) - from
		if t.variant != nil && t.variant.escapes != nil && p.kind != partLiteral {
			n = len(t.variant.escapes.do(nil, room[from:]))
		}
		all = append(all, Made{p.source, at, n})
		at += n
	}
	return all
}

// unused lists what no vector has reached.
func (ch *checker) unused() []Unused {
	var out []Unused
	sumLine := 0
	for _, v := range ch.c.framing.variants {
		if len(v.sums) > 0 && sumLine == 0 {
			sumLine = v.sums[0].line
		}
		if !ch.variants[v] {
			out = append(out, Unused{"variant", v.label(), v.line})
		}
	}
	for _, m := range ch.c.messages {
		if !ch.messages[m] && m.label != "" {
			out = append(out, Unused{"message", m.label, m.line})
		}
		// A message that was reached has named its answer by itself or by an
		// inner one; what counts is that the template made a frame.
		if m.reply != nil && !ch.templates[m.reply] {
			out = append(out, Unused{"reply", m.label, m.reply.line})
		}
		if m.refuse != nil && !ch.templates[m.refuse] {
			out = append(out, Unused{"refusal", m.label, m.refuse.line})
		}
	}
	if sumLine > 0 && !ch.badSum {
		out = append(out, Unused{"checksum", "no vector has a wrong one (error: checksum)", sumLine})
	}
	for _, name := range ch.c.down.names {
		if t := ch.c.down.cases[name]; !ch.templates[t] {
			out = append(out, Unused{"downlink", name, t.line})
		}
	}
	if t := ch.c.down.other; t != nil && !ch.templates[t] {
		out = append(out, Unused{"downlink", "default", t.line})
	}
	return out
}

func sortedKeys(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }
