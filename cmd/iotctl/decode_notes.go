package main

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/iotctl/iotctl/internal/capture"
	"github.com/iotctl/iotctl/internal/decode"
	"github.com/iotctl/iotctl/internal/display"
)

// capturing says that a capture is read.
func (s *decodeSink) capturing(what string) {
	s.tell("read as " + what)
	s.title += ": " + what
}

// pasting says what a text was read as. It is told with what the first stream is
// recognised as.
func (s *decodeSink) pasting(p *capture.Pasted) {
	size := 0
	for _, b := range p.Packets {
		size += len(b)
	}
	s.list.Bare = !p.Framed
	s.form = fmt.Sprintf("read as %s, %s", p.Form, counted(size, "byte"))
	if len(p.Packets) > 1 {
		s.form = fmt.Sprintf("read as %s, %s in %s", p.Form, counted(size, "byte"), counted(len(p.Packets), "packet"))
	}
	if p.Framed {
		s.listing()
	}
	s.notes(p.Notes)
}

// tell prints what was found out.
func (s *decodeSink) tell(text string) {
	if s.o.quiet {
		return
	}
	_ = s.out.Flush() // so that it keeps its place on a terminal
	s.t.raw(display.Safe(text))
}

func (s *decodeSink) notes(all []string) {
	for _, n := range all {
		s.tell("note: " + n)
	}
}

// Note implements decode.Sink.
func (s *decodeSink) Note(n *decode.Note) error {
	if s.stream > 0 && n.Stream != nil && n.Stream.Number != s.stream {
		return nil
	}
	switch n.Kind {
	case decode.Recognised:
		s.recognised(n)
		return nil
	case decode.Versioned:
		s.tell(streamName(n.Stream) + n.Text)
		return nil
	case decode.Ended:
		s.subject.Forget(n.Stream)
		return nil
	case decode.Foreign, decode.Unreadable:
		s.foreign = append(s.foreign[:min(len(s.foreign), toldStreams)], n.Text)
		s.hint = cmp.Or(s.hint, n.Hint)
	case decode.Breach:
		s.broken = s.broken || s.o.filter == ""
	}
	if s.o.filter != "" {
		return nil
	}
	return s.showNote(n)
}

// showNote shows what belongs between packets.
func (s *decodeSink) showNote(n *decode.Note) error {
	s.buf = s.buf[:0]
	switch s.shape {
	case shapeAuto, shapeList:
		if s.shape == shapeAuto && s.shown < 2 {
			s.tell(streamName(n.Stream) + n.Text)
			return nil
		}
		s.heading()
		s.buf = s.list.Note(s.buf, n)
	case shapeHTML:
		s.heading()
		s.buf = s.page.Note(s.buf, n)
	default:
		s.tell(streamName(n.Stream) + n.Text)
		return nil
	}
	if _, err := s.out.Write(s.buf); err != nil {
		return s.fail(err)
	}
	return nil
}

// streamName is "stream 3: " of a capture.
func streamName(s *decode.Stream) string {
	if s == nil || s.Number == 0 || s.Transport == "" {
		return ""
	}
	return fmt.Sprintf("stream %d: ", s.Number)
}

// recognised tells what a stream is, and why.
func (s *decodeSink) recognised(n *decode.Note) {
	if n.Stream == nil {
		return
	}
	s.streams++
	if s.streams > toldStreams {
		if s.streams == toldStreams+1 {
			s.tell("more streams are not told one by one; --stats lists them")
		}
		return
	}
	st := n.Stream
	what := display.Protocol(st)
	if st.Why != "" && s.o.as == "" {
		what += " (" + st.Why + ")"
	}
	switch {
	case st.Transport != "":
		s.tell(fmt.Sprintf("stream %d: %s %v → %v, %s", st.Number, st.Transport, st.Client, st.Server, what))
	case s.form != "" && s.o.as != "":
		s.tell(s.form)
	case s.form != "":
		s.tell(s.form + "; recognised as " + what)
	case s.o.as == "":
		s.tell("recognised as " + what)
	}
	s.form = ""
	if st.Other != "" {
		s.tell("it could also be " + strings.TrimPrefix(st.Other, "it could also be "))
	}
}
