package frame

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"

	"gopkg.in/yaml.v3"
)

// loadFraming reads what concerns frames from the top level of a file, except
// the fields.
func (l *loader) loadFraming(m *mapping) framing {
	fr := framing{
		maxFrame:   m.number("max_frame", defaultMaxFrame, 1, largestMaxFrame),
		maxSkipped: m.number("max_skipped", defaultMaxSkipped, 0, 1<<30),
		resync:     m.flag("resync", true),
	}
	fr.maxAtFirst = fr.maxSkipped
	if !m.has("max_skipped") { // the rest of a frame that began before the connection did
		fr.maxAtFirst = min(fr.maxSkipped, max(fr.maxFrame, leastMaxAtFirst))
	}
	switch m.choice("on_bad_checksum", "drop", "close", "accept") {
	case "close":
		fr.onBad = closeBad
	case "accept":
		fr.onBad = acceptBad
	}
	shared := &variant{sums: l.checksums(m, "checksum")}
	if n := m.get("preprocess"); n != nil {
		l.preprocess(n, shared)
	}
	if !m.has("framing") {
		l.errorf(m.node, `framing is missing: say how frames begin and end, such as framing: {delimiter: "0a", strip: true}`)
	}
	for _, n := range m.list("framing") {
		v := l.variant(l.follow(n), &fr, shared)
		v.index = len(fr.variants)
		fr.variants = append(fr.variants, v)
	}
	for i, v := range fr.variants {
		l.checkVariant(v, fr.variants[:i], &fr)
	}
	fr.anchor = anchorOf(fr.variants)
	return fr
}

func (l *loader) variant(n *yaml.Node, fr *framing, shared *variant) *variant {
	v := &variant{line: n.Line, sums: shared.sums, strip: shared.strip, escapes: shared.escapes}
	if n.Kind == yaml.ScalarNode && n.Value == "whole" {
		v.mode = byGap
		return v
	}
	m := l.mapping(n, "framing")
	v.name = m.text("name")
	l.starts(m, v)
	v.keep = true
	v.end = m.hex("end")
	switch m.choice("when", "first", "later") {
	case "first":
		v.first = true
	case "later":
		v.later = true
	}
	v.dir = m.direction()
	l.ending(m, v, fr)
	v.front, v.tail = m.pair("body", 0, 0)
	if v.front < 0 || v.tail < 0 {
		l.errorf(n, "framing: body: want two counts of bytes: [3, 6] leaves out 3 in front and 6 at the end")
		v.front, v.tail = 0, 0
	}
	if m.has("checksum") {
		v.sums = l.checksums(m, "checksum")
	}
	if p := m.get("preprocess"); p != nil {
		v.strip, v.escapes = [2]int{}, nil
		l.preprocess(p, v)
	}
	l.variants = append(l.variants, v)
	if m.hasMessage() {
		v.plan = l.message(m, scope{})
	}
	m.done()
	return v
}

// starts reads start, one or a list, and start_at.
func (l *loader) starts(m *mapping, v *variant) {
	at := m.number("start_at", 0, 0, 256)
	for _, n := range m.list("start") {
		n = l.follow(n)
		if err := quoted(n); err != nil {
			l.errorf(n, "framing: start: %v", err)
			continue
		}
		p, err := parsePattern(n.Value)
		if err != nil || len(p.want) == 0 {
			l.errorf(n, "framing: start: %v", cmp.Or(err, errors.New("no bytes")))
			continue
		}
		v.starts = append(v.starts, pattern{
			want: append(make([]byte, at), p.want...),
			mask: append(make([]byte, at), p.mask...),
		})
	}
}

// ending reads what ends the frames of a variant.
func (l *loader) ending(m *mapping, v *variant, fr *framing) {
	given := 0
	if n := m.get("length"); n != nil {
		given++
		v.mode, v.length = byLength, l.lengthRule(n)
	}
	if m.has("fixed") {
		given++
		v.mode, v.fixed = byFixed, m.number("fixed", 1, 1, largestMaxFrame)
	}
	if m.has("delimiter") {
		given++
		v.mode, v.keep = byDelimiter, !m.flag("strip", false)
		if v.end != nil {
			l.errorf(m.node, "framing: give end or delimiter, not both")
		}
		if v.end = m.hex("delimiter"); len(v.end) == 0 {
			l.errorf(m.node, "framing: delimiter is empty")
			v.end = []byte{'\n'}
		}
		if len(v.starts) > 0 {
			v.mode = byMarker
		}
	}
	if m.flag("whole", false) {
		given++
		v.mode = byGap
	}
	if gap := m.duration("idle_gap"); gap > 0 {
		fr.idleGap = gap
		if given == 0 {
			given++
			v.mode = byGap
		}
	}
	switch {
	case given == 0 && len(v.starts) > 0 && len(v.end) > 0:
		v.mode = byMarker
	case given == 0:
		l.errorf(m.node, "framing: nothing says where a frame ends: give length, fixed, delimiter, start and end, idle_gap or whole: true")
		v.mode = byGap
	case given > 1:
		l.errorf(m.node, "framing: give only one of length, fixed, delimiter, whole and idle_gap; use a list for several shapes of frames")
	}
}

func (l *loader) lengthRule(n *yaml.Node) lengthRule {
	m := l.mapping(n, "length")
	const far = 1 << 20
	r := lengthRule{
		offset: m.number("offset", 0, 0, 1024),
		size:   m.number("size", 0, 1, 16),
		adjust: m.number("adjust", 0, -far, far),
		le:     m.choice("endian", "be", "le") == "le",
		mask:   uint64(m.number("mask", math.MaxInt, 1, math.MaxInt)),
		min:    m.number("min", 0, 0, math.MaxInt32),
		max:    m.number("max", math.MaxInt32, 0, math.MaxInt32),
		frame:  m.choice("includes", "rest", "frame") == "frame",
	}
	most := 8
	switch m.choice("type", "uint", "ascii", "ascii_hex", "bcd", "varint") {
	case "ascii":
		r.kind, most = lengthASCII, 9
	case "ascii_hex":
		r.kind = lengthASCIIHex
	case "bcd":
		r.kind, most = lengthBCD, 4
	case "varint":
		r.kind, most = lengthVarint, 5
		if r.size == 0 {
			r.size = 4
		}
	}
	m.done()
	if r.size == 0 {
		l.errorf(n, "length: size is missing: how many bytes the length field has")
		r.size = 1
	}
	if r.size > most {
		l.errorf(n, "length: size: %d bytes are more than a length can have: at most %d", r.size, most)
		r.size = most
	}
	return r
}

// checkVariant complains about what can never work.
func (l *loader) checkVariant(v *variant, before []*variant, fr *framing) {
	n := &yaml.Node{Line: v.line}
	least := v.head() + len(v.end)
	if v.mode == byFixed {
		if v.fixed < least {
			l.errorf(n, "framing: fixed: %d bytes do not hold start and end", v.fixed)
		}
		if rest := v.fixed - v.strip[0] - v.strip[1] - v.front - v.tail; rest < 0 {
			l.errorf(n, "framing: body and strip leave nothing of %d bytes", v.fixed)
		}
		if v.fixed > fr.maxFrame {
			l.errorf(n, "framing: fixed: %d is more than max_frame, %d", v.fixed, fr.maxFrame)
		}
		for _, s := range v.sums {
			if _, _, _, ok := s.bounds(v.fixed - v.strip[0] - v.strip[1]); !ok {
				l.errorf(&yaml.Node{Line: s.line}, "checksum: range and at do not fit into %d bytes", v.fixed)
			}
		}
	}
	if v.mode == byLength && v.length.offset+v.length.size > fr.maxFrame {
		l.errorf(n, "framing: length: the field lies behind max_frame, %d", fr.maxFrame)
	}
	for _, b := range before {
		if b.hides(v) {
			l.errorf(n, "framing: never reached: the variant in line %d takes every frame that begins like this; put the more specific first", b.line)
			return
		}
	}
}

// hides reports whether nothing that v would take gets past b. Checks of b
// that may fail (an end, a checksum, its length) let frames past.
func (v *variant) hides(w *variant) bool {
	if v.mode == byLength || len(v.sums) > 0 || len(v.end) > 0 && v.mode != byDelimiter {
		return false
	}
	if v.first && !w.first || v.later && !w.later || v.dir != Any && v.dir != w.dir {
		return false
	}
	if len(v.starts) == 0 {
		return true
	}
	for _, p := range w.starts {
		if !slices.ContainsFunc(v.starts, p.within) {
			return false
		}
	}
	return len(w.starts) > 0
}

func (m *mapping) direction() Direction {
	switch m.choice("dir", "up", "down") {
	case "up":
		return Up
	case "down":
		return Down
	}
	return Any
}

// label is how reports call a variant.
func (v *variant) label() string {
	switch {
	case v.name != "":
		return v.name
	case len(v.starts) > 0:
		return "start " + v.starts[0].String()
	}
	return fmt.Sprintf("framing[%d]", v.index)
}
