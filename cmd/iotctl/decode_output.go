package main

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/term"

	"github.com/iotctl/iotctl/internal/decode"
	"github.com/iotctl/iotctl/internal/display"
	"github.com/iotctl/iotctl/internal/dissect"
	"github.com/iotctl/iotctl/internal/selector"
)

// decodeSink shows packets as they are read. It is a decode.Sink.
type decodeSink struct {
	t     *terminal
	o     *decodeOptions
	out   *bufio.Writer
	buf   []byte
	shape shape
	style display.Style

	filter  *selector.Expr
	types   []string       // that the filter names, and no packet has had
	stream  int            // of --follow, 0: any
	client  *selector.Expr // of --follow, nil: any
	subject display.Subject

	list    display.List
	ladder  display.Ladder
	columns *display.Columns
	stats   *display.Stats
	page    display.Page
	title   string // of the page
	begun   bool   // headings are out

	// Of shapeAuto, until there is a second packet.
	firstHex, firstLine []byte
	compared            []*decode.Packet // of shapeDiff
	form                string           // "read as xxd, 14 bytes", until it is told

	shown, seen   int
	broken, short bool
	foreign       []string
	hint          string // of the first of them
	streams       int    // told
	failed        error
}

// toldStreams is for how many streams it is told how they were recognised.
const toldStreams = 20

func newDecodeSink(t *terminal, o *decodeOptions, inputs []decodeInput) (*decodeSink, error) {
	s := &decodeSink{t: t, o: o, out: bufio.NewWriterSize(t.out, 64<<10), title: "iotctl decode"}
	var err error
	if s.shape, err = o.shape(); err != nil {
		return nil, err
	}
	if s.style, err = o.style(t); err != nil {
		return nil, err
	}
	if s.filter, err = o.expression(); err != nil {
		return nil, err
	}
	s.types = s.filter.Types()
	if s.stream, s.client, err = o.followed(); err != nil {
		return nil, err
	}
	s.subject.Secrets = o.secrets
	s.list = display.List{Style: s.style, Bare: !slices.ContainsFunc(inputs, mayBeCapture)}
	s.ladder = display.Ladder{Style: s.style}
	s.page = display.Page{Style: s.style}
	s.stats = display.NewStats(s.style)
	s.columns = &display.Columns{Names: o.fields, Subject: &s.subject}
	if len(inputs) == 1 && inputs[0].text == nil {
		s.title = inputs[0].name
	}
	return s, nil
}

func mayBeCapture(in decodeInput) bool { return in.text == nil }

// terminalWidth is that of the terminal w, 0 if it is none.
func terminalWidth(w io.Writer) int {
	f, ok := w.(interface{ Fd() uintptr })
	if !ok {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return width
}

// quick reports whether lines are all that is wanted.
func (s *decodeSink) quick() bool {
	if s.shape != shapeList && s.shape != shapeLadder && s.shape != shapeStats {
		return false
	}
	return s.client == nil && !slices.ContainsFunc(s.filter.Names(), func(n string) bool { return !display.Quick(n) })
}

// Packet implements decode.Sink.
func (s *decodeSink) Packet(p *decode.Packet) error {
	s.seen++
	if s.list.Start.IsZero() {
		s.list.Start, s.ladder.Start, s.subject.Start = p.Time, p.Time, p.Time
	}
	if !s.chosen(p) {
		return nil
	}
	s.shown++
	s.judge(p)
	if err := s.show(p); err != nil {
		return s.fail(err)
	}
	if s.shown == s.o.count {
		return errEnough
	}
	return nil
}

// chosen asks --follow and --filter about p.
func (s *decodeSink) chosen(p *decode.Packet) bool {
	if s.stream > 0 && (p.Stream == nil || p.Stream.Number != s.stream) {
		return false
	}
	if s.shape == shapeFields || s.o.filter != "" || s.client != nil {
		s.subject.Of(p)
	}
	if len(s.types) > 0 {
		s.types = slices.DeleteFunc(s.types, func(t string) bool { return strings.EqualFold(t, p.Type) })
	}
	return (s.client == nil || s.client.Match(&s.subject)) && (s.o.filter == "" || s.filter.Match(&s.subject))
}

func (s *decodeSink) fail(err error) error {
	s.failed = err
	return err
}

// judge remembers what decides about the exit code.
func (s *decodeSink) judge(p *decode.Packet) {
	switch {
	case errors.Is(p.Err, dissect.ErrShort):
		s.short = true
	case p.Err != nil:
		s.broken = true
	}
	for i := range p.Problems {
		s.broken = s.broken || !p.Problems[i].Warning
	}
}

// show shows p in the shape that was asked for.
func (s *decodeSink) show(p *decode.Packet) error {
	s.buf = s.buf[:0]
	switch s.shape {
	case shapeAuto:
		return s.showAuto(p)
	case shapeHex:
		if s.shown > 1 {
			s.buf = append(s.buf, '\n')
		}
		if !s.list.Bare {
			s.buf = s.list.Where(s.buf, p)
		}
		s.buf = display.Annotated(s.buf, p, s.style)
	case shapeList:
		s.heading()
		s.buf = s.list.Append(s.buf, p)
	case shapeTree:
		s.buf = display.Tree(s.buf, p, s.style)
	case shapeLadder:
		s.buf = s.ladder.Append(s.buf, p)
	case shapeFields:
		s.buf = s.columns.Append(s.buf, p)
	case shapeStats:
		s.stats.Add(p)
	case shapeJSON:
		s.buf = display.JSON(s.buf, p, s.style)
	case shapeHTML:
		s.heading()
		s.buf = s.page.Append(s.buf, p)
	case shapeDiff:
		return s.compare(p)
	}
	_, err := s.out.Write(s.buf)
	return err
}

// showAuto keeps the first packet until it is known whether there is another.
func (s *decodeSink) showAuto(p *decode.Packet) error {
	if s.shown == 1 {
		s.firstHex = display.Annotated(nil, p, s.style)
		s.firstLine = s.list.Append(nil, p)
		return nil
	}
	if s.shown == 2 {
		s.heading()
		s.buf = append(s.buf, s.firstLine...)
		s.firstHex, s.firstLine = nil, nil
	}
	s.buf = s.list.Append(s.buf, p)
	_, err := s.out.Write(s.buf)
	return err
}

// heading adds what stands above the first packet.
func (s *decodeSink) heading() {
	if s.begun {
		return
	}
	s.begun = true
	if s.shape == shapeHTML {
		s.buf = s.page.Begin(s.buf, s.title, "what belongs together lights up where the pointer is, or the focus")
		return
	}
	s.buf = s.list.Heading(s.buf)
}

// compare keeps two packets.
func (s *decodeSink) compare(p *decode.Packet) error {
	if len(s.compared) == 2 {
		return fail(exitUsage, errors.New("--diff compares two packets, and there are more"), "iotctl decode --diff --filter 'number=1 or number=2' ...")
	}
	kept := *p
	kept.Bytes, kept.Line, kept.Frames = bytes.Clone(p.Bytes), bytes.Clone(p.Line), slices.Clone(p.Frames)
	s.compared = append(s.compared, &kept)
	return nil
}

// listing says that there may be many packets.
func (s *decodeSink) listing() {
	if s.shape == shapeAuto {
		s.shape = shapeList
	}
	s.list.Bare = false
}

// incomplete remembers that the input ends too early.
func (s *decodeSink) incomplete(text string) {
	s.short = true
	s.tell("note: " + text)
}

func (s *decodeSink) flush() error {
	if err := s.out.Flush(); err != nil {
		return s.fail(err)
	}
	return nil
}

// end shows what could not be shown before all was read.
func (s *decodeSink) end() error {
	if s.failed != nil {
		return s.failed
	}
	s.buf = s.buf[:0]
	switch s.shape {
	case shapeAuto:
		s.buf = append(s.buf, s.firstHex...)
	case shapeStats:
		s.buf = s.stats.Append(s.buf)
	case shapeHTML:
		s.heading()
		s.buf = s.page.End(s.buf)
	case shapeDiff:
		if len(s.compared) == 2 {
			s.buf = display.Diff(s.buf, s.compared[0], s.compared[1], s.style)
		}
	}
	if _, err := s.out.Write(s.buf); err != nil {
		return err
	}
	return s.out.Flush()
}

// verdict is the exit code, as an error that prints nothing more than is new.
func (s *decodeSink) verdict() error {
	if s.seen > 0 {
		s.unknown()
	}
	switch {
	case s.shape == shapeDiff && len(s.compared) < 2:
		return fail(exitUsage, fmt.Errorf("--diff compares two packets, and there is %s", counted(len(s.compared), "packet")))
	case s.broken:
		return fail(exitRuleBroken, errors.New(""))
	case s.short:
		return fail(exitIncomplete, errors.New(""))
	case s.seen == 0:
		return s.nothing()
	case s.shown == 0 && (s.o.filter != "" || s.o.follow != ""):
		s.tell(fmt.Sprintf("none of %s is chosen", counted(s.seen, "packet")))
	}
	return nil
}

// unknown tells of names that mean nothing, when that is why nothing was shown.
func (s *decodeSink) unknown() {
	if s.o.quiet {
		return
	}
	names := s.o.fields
	if s.shown == 0 {
		names = append(slices.Clip(names), s.filter.Names()...)
		for _, t := range s.types {
			s.t.hintf("no packet has the type %s: iotctl decode --stats shows what types there are", display.Safe(strconv.Quote(t)))
		}
	}
	for _, n := range s.subject.Missing(names) {
		if display.Quick(n) {
			continue
		}
		text := display.Safe(strconv.Quote(n)) + ": iotctl decode --tree shows what fields there are"
		if short, ok := strings.CutPrefix(n, "mqtt."); ok {
			text += ", " + display.Safe(strconv.Quote(short)) + " perhaps"
		}
		s.t.hintf("no packet has %s", text)
	}
}

// nothing is the error when no packet could be read.
func (s *decodeSink) nothing() error {
	if len(s.foreign) > 0 {
		return fail(exitUnreadable, errors.New("no packet of a known protocol: "+display.Safe(s.foreign[0])), cmp.Or(display.Safe(s.hint), "iotctl decode --as PROTOCOL"))
	}
	return fail(exitUnreadable, errors.New("there is no packet to be read"))
}
