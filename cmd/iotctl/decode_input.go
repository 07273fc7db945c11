package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/iotctl/iotctl/internal/capture"
	"github.com/iotctl/iotctl/internal/decode"
	"github.com/iotctl/iotctl/internal/dissect"
)

// decodeInput is one thing to read: an argument, a file or standard input.
type decodeInput struct {
	name string // for messages
	text []byte // of an argument; else nil
	file string // "-" for standard input
}

// maxPasted is how much of an input that is no capture is read.
const maxPasted = 256 << 20

// idle is after how long without input what waits is shown as well as can be.
const idle = 300 * time.Millisecond

// patience is how long a stream that is not known holds up the others, if they go on.
const patience = time.Second

// decodeInputs finds out what the arguments mean. Bytes that stand in arguments of
// their own, as when nobody quoted them, are one text.
func decodeInputs(args []string) ([]decodeInput, error) {
	if len(args) == 0 {
		return []decodeInput{{name: "standard input", file: "-"}}, nil
	}
	var all []decodeInput
	var words []string
	flush := func() {
		if len(words) > 0 {
			all = append(all, decodeInput{name: "the argument", text: []byte(joinWords(words))})
			words = nil
		}
	}
	for _, arg := range args {
		name, marked := strings.CutPrefix(arg, "@")
		info, err := os.Stat(name)
		switch {
		case arg == "-", arg == "@-":
			flush()
			all = append(all, decodeInput{name: "standard input", file: "-"})
		case err == nil && info.IsDir():
			return nil, usagef("%s is a directory", name)
		case err == nil:
			flush()
			all = append(all, decodeInput{name: name, file: name})
		case marked, looksLikeFile(arg) && !looksLikePacket(arg):
			var hints []string
			if errors.Is(err, fs.ErrNotExist) {
				hints = append(hints, "iotctl decode - reads standard input")
			}
			return nil, fail(exitUsage, fmt.Errorf("open %s: %w", name, cause(err)), hints...)
		default:
			words = append(words, arg)
		}
	}
	flush()
	return all, nil
}

// cause is err without what was done on what.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// looksLikePacket reports whether arg with a point or a slash in it may still be
// bytes: Base64 has slashes, and a literal has quotes or braces.
func looksLikePacket(arg string) bool {
	if strings.ContainsAny(arg, " \t\n\"'{}\\") {
		return true
	}
	_, err := capture.Paste([]byte(arg), "base64")
	return err == nil && !strings.Contains(arg, ".")
}

// joinWords makes one text of arguments: lines, or a line where one of them is a
// single byte.
func joinWords(words []string) string {
	for _, w := range words {
		digits := strings.TrimSuffix(strings.TrimPrefix(strings.ToLower(w), "0x"), ",")
		if len(digits) <= 2 {
			return strings.Join(words, " ")
		}
	}
	return strings.Join(words, "\n")
}

// decoding is one run of decode.
type decoding struct {
	t    *terminal
	o    *decodeOptions
	sink *decodeSink
	e    *decode.Engine
	keys *capture.KeyLog
	from dissect.Direction
	file bool // the input is one, which never waits

	dissectors []dissect.Dissector
}

func runDecode(ctx context.Context, t *terminal, o *decodeOptions, args []string) error {
	inputs, err := decodeInputs(args)
	if err != nil {
		return err
	}
	if len(inputs) == 1 && inputs[0].file == "-" && t.inTTY {
		t.notef("paste a packet, and end with Ctrl-D")
	}
	d := &decoding{t: t, o: o}
	if d.sink, err = newDecodeSink(t, o, inputs); err != nil {
		return err
	}
	if d.keys, err = o.keys(); err != nil {
		return err
	}
	if d.dissectors, err = o.readers(); err != nil {
		return err
	}
	if d.from, err = o.direction(); err != nil {
		return err
	}
	ctx, stop := interruptible(ctx)
	defer stop()
	err = d.all(ctx, inputs)
	if errors.Is(err, errEnough) {
		err = nil
	}
	if end := d.sink.end(); err == nil {
		err = end
	}
	if err != nil {
		return err
	}
	return d.sink.verdict()
}

// errEnough is how the sink says that --count is reached.
var errEnough = errors.New("enough packets")

func (d *decoding) all(ctx context.Context, inputs []decodeInput) error {
	for _, in := range inputs {
		if err := d.input(ctx, in); err != nil {
			return err
		}
	}
	if d.e == nil {
		return nil
	}
	return d.e.Close()
}

// engine is what reads: it is made when it is known how packets are shown.
func (d *decoding) engine(patience time.Duration) (*decode.Engine, error) {
	if d.e != nil {
		return d.e, nil
	}
	o := d.o
	e, err := decode.New(decode.Options{
		Dissectors: d.dissectors, As: o.as, Lines: d.sink.quick(), Stream: o.stream, From: d.from, Port: o.port, Keys: d.keys,
		Patience: patience,
	}, d.sink)
	var mistake *decode.Error
	if errors.As(err, &mistake) {
		return nil, fail(exitUsage, fmt.Errorf("--as %q: %w", o.as, err), mistake.Hint)
	}
	d.e = e
	return e, err
}

// input reads one input.
func (d *decoding) input(ctx context.Context, in decodeInput) error {
	if in.text != nil && d.o.in == formCapture {
		return fail(exitUsage, errors.New("--in capture reads files and standard input, and there are bytes"), "iotctl decode --in capture FILE")
	}
	if in.text != nil {
		return d.paste(in.name, in.text)
	}
	r := d.t.in
	if in.file != "-" {
		f, err := os.Open(in.file)
		if err != nil {
			return fail(exitUsage, err)
		}
		defer f.Close()
		r = f
	}
	if d.file = regular(r); !d.file {
		live := newLiveReader(ctx, r, d.idle)
		defer live.stop()
		r = live
	}
	b := bufio.NewReaderSize(r, len(magicPcapng))
	magic, err := b.Peek(len(magicPcapng))
	if len(magic) == 0 && err != nil && !errors.Is(err, io.EOF) {
		return fail(exitUsage, fmt.Errorf("%s: %w", in.name, cause(err)))
	}
	if d.o.in == formCapture || d.o.in == "" && isCapture(magic) {
		return d.capture(in.name, b)
	}
	text, err := io.ReadAll(io.LimitReader(b, maxPasted+1))
	if err != nil {
		return fail(exitUsage, fmt.Errorf("%s: %w", in.name, cause(err)))
	}
	if len(text) > maxPasted {
		return fail(exitUsage, fmt.Errorf("%s has more than %d MiB and is no capture", in.name, maxPasted>>20), "iotctl decode --in capture")
	}
	return d.paste(in.name, text)
}

// regular reports whether r is a file, which never waits.
func regular(r io.Reader) bool {
	f, ok := r.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode().IsRegular()
}

var magicPcapng = []byte{0x0a, 0x0d, 0x0d, 0x0a}

// isCapture reports whether a file that begins with magic is one of those that
// package capture reads, or that it knows by name.
func isCapture(magic []byte) bool {
	for _, m := range [][]byte{
		magicPcapng,
		{0xd4, 0xc3, 0xb2, 0xa1},
		{0xa1, 0xb2, 0xc3, 0xd4}, // pcap, microseconds
		{0x4d, 0x3c, 0xb2, 0xa1},
		{0xa1, 0xb2, 0x3c, 0x4d}, // nanoseconds
		{0x1f, 0x8b, 0x08},       // gzip
		{0x28, 0xb5, 0x2f, 0xfd},
		{0x04, 0x22, 0x4d, 0x18},
		{0xfd, '7', 'z', 'X'},
		[]byte("snoo"), []byte("GMBU"),
	} {
		if bytes.HasPrefix(magic, m) {
			return true
		}
	}
	return false
}

// capture reads a capture as it comes.
func (d *decoding) capture(name string, r io.Reader) error {
	c, err := capture.Open(r, capture.Options{KeyLog: d.keys})
	if err != nil {
		return unreadable(name, err)
	}
	d.sink.listing()
	wait := patience
	if d.file {
		wait = 0 // all of it is there
	}
	if _, err := d.engine(wait); err != nil {
		return err
	}
	err = d.chunks(c, func() { d.sink.capturing(c.Describe()) })
	d.sink.notes(c.Notes())
	switch {
	case err == nil, errors.Is(err, errEnough), d.sink.failed != nil:
		return err
	case errors.Is(err, io.ErrUnexpectedEOF):
		d.sink.incomplete(fmt.Sprintf("%s ends within a packet of the capture: %v", name, err))
		return nil
	}
	return unreadable(name, err)
}

// chunks reads c. begun is called when its first frame has been.
func (d *decoding) chunks(c *capture.Reader, begun func()) error {
	next := c.Next
	for first := true; ; first = false {
		chunk, err := next()
		if first {
			begun()
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := d.e.Chunk(chunk); err != nil {
			return err
		}
		if first && d.file {
			ahead := decode.ReadAhead(c.Next)
			defer ahead.Close()
			next = ahead.Next
		}
	}
}

// unreadable is the error for an input that is not what it seems to be.
func unreadable(name string, err error, hints ...string) error {
	return fail(exitUnreadable, fmt.Errorf("%s: %w", name, err), hints...)
}

// paste reads a text.
func (d *decoding) paste(name string, text []byte) error {
	split := capture.SplitGuess
	switch {
	case d.o.lines && d.o.stream:
		return fail(exitUsage, errors.New("--lines and --stream contradict each other"), "leave one of them out")
	case d.o.lines:
		split = capture.SplitLines
	case d.o.stream:
		split = capture.SplitNone
	}
	p, err := capture.PasteSplit(text, d.o.in, split)
	var wrong *capture.PasteError
	if errors.As(err, &wrong) {
		hint := strings.Replace(wrong.Hint, "forms are ", "forms are "+formCapture+", ", 1)
		if len(bytes.TrimSpace(text)) == 0 {
			hint = "iotctl decode 'c0 00', iotctl decode FILE, or bytes on standard input"
		}
		if hint == "" && d.o.in != "" {
			hint = "leave --in out, and the form is found out"
		}
		if hint == "" {
			hint = "iotctl decode --in FORM, one of " + formCapture + ", " + strings.Join(capture.Forms(), ", ")
		}
		return unreadable(name, err, hint)
	}
	if err != nil {
		return unreadable(name, err)
	}
	d.sink.pasting(&p)
	if bytes.HasPrefix(text, []byte(`{"iotctl_recording":`)) {
		d.sink.notes([]string{"this is a recording of iotctl proxy, and its packets are read as if each were alone: iotctl proxy diff and replay know its sessions, and --capture makes what decode reads as streams"})
	}
	e, err := d.engine(0)
	if err != nil {
		return err
	}
	if !p.Framed {
		return e.Pasted(p.Packets)
	}
	c := p.Reader(capture.Options{KeyLog: d.keys})
	if err := d.chunks(c, func() {}); err != nil {
		return err
	}
	d.sink.notes(c.Notes())
	return nil
}

// idle shows what there is while nothing comes. long says that this may last.
func (d *decoding) idle(long bool) error {
	if long && d.e != nil {
		if err := d.e.Flush(); err != nil {
			return err
		}
	}
	return d.sink.flush()
}
