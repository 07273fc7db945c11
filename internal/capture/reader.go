package capture

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/iotctl/iotctl/internal/dissect"
)

// Reader takes the streams and datagrams out of captured frames.
type Reader struct {
	frames frames
	o      Options
	name   string // what the file is compressed with
	frame  frame  // the one at hand
	err    error  // why there is no next one

	now     int64 // the latest time of a frame
	told    bool  // the comment on the frame is in queue
	queue   []Chunk
	head    int   // of queue
	numbers []int // what Chunk.Frames of queue are in

	flows     flowTable
	held      holding
	fragments fragments
	count     counts
}

// counts is what Notes are made of.
type counts struct {
	frames  int
	skipped [skipReasons]int
	cut     int // frames that are not whole
	gaps    int // in TCP streams
	missing int // bytes in them
	stray   int // TCP segments far from their streams
	evicted int // flows
}

// Open finds out which format r has: pcap (µs, ns, both byte orders), pcapng (both byte
// orders), each also in gzip. It reads no more than the file's header.
func Open(r io.Reader, o Options) (*Reader, error) {
	o = o.withDefaults()
	r, compression, err := unzip(r)
	if err != nil {
		return nil, err
	}
	src := &source{r: r}
	f, err := openFrames(src, o.KeyLog)
	if err != nil {
		return nil, err
	}
	rd := newReader(f, o)
	rd.name = compression
	return rd, nil
}

func newReader(f frames, o Options) *Reader {
	r := &Reader{frames: f, o: o.withDefaults(), now: noTime}
	r.flows.init()
	return r
}

func openFrames(src *source, keys *KeyLog) (frames, error) {
	b, err := src.peek(4)
	if err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, &Damaged{Part: "capture", Reason: fmt.Sprintf("only %d bytes", src.left()), Err: io.ErrUnexpectedEOF}
		}
		return nil, &Damaged{Part: "capture", Reason: err.Error(), Err: err}
	}
	magic := [4]byte(b)
	if magic == [4]byte{0x0a, 0x0d, 0x0d, 0x0a} {
		return openPcapng(src, keys)
	}
	p, ok, err := openPcap(src, magic)
	if !ok {
		return nil, notCapture(magic)
	}
	if err != nil {
		return nil, err
	}
	if linkKnown(p.link) {
		return p, nil
	}
	return nil, &Damaged{Offset: 20, Part: "pcap header", Reason: linkName(p.link) +
		" is not read: capture on an Ethernet, loopback or cooked (any) interface"}
}

// notCapture says what else a file may be.
func notCapture(magic [4]byte) error {
	what, ok := map[[4]byte]string{
		{0x28, 0xb5, 0x2f, 0xfd}: "compressed with zstd: decompress it (zstd -dc FILE) into a pipe",
		{0x04, 0x22, 0x4d, 0x18}: "compressed with lz4: decompress it (lz4 -dc FILE) into a pipe",
		{0xfd, '7', 'z', 'X'}:    "compressed with xz: decompress it (xz -dc FILE) into a pipe",
		{'s', 'n', 'o', 'o'}:     "a snoop capture: convert it with editcap",
		{'G', 'M', 'B', 'U'}:     "a Network Monitor capture: convert it with editcap",
	}[magic]
	if !ok {
		what = fmt.Sprintf("neither pcap nor pcapng: it begins with %x", magic[:])
	}
	return &Damaged{Part: "capture", Reason: what}
}

// Next returns what was sent next. It returns io.EOF, or what is wrong with the capture,
// after all that was captured before.
func (r *Reader) Next() (Chunk, error) {
	for r.head == len(r.queue) {
		r.queue, r.head, r.numbers = r.queue[:0], 0, r.numbers[:0]
		r.held.recycle()
		if r.err != nil {
			return Chunk{}, r.err
		}
		if r.err = r.frames.next(&r.frame); r.err != nil {
			r.releaseAll()
			continue
		}
		r.count.frames++
		if len(r.frame.data) < r.frame.wire {
			r.count.cut++
		}
		if r.frame.time > r.now {
			r.now = r.frame.time
			r.sweep()
		}
		r.take()
	}
	r.head++
	return r.queue[r.head-1], nil
}

// take brings the frame at hand through its layers.
func (r *Reader) take() {
	ip, why := network(r.frame.link, r.frame.data)
	if why == taken {
		why = r.internet(ip, r.frame.wire-len(r.frame.data))
	}
	r.count.skipped[why]++
}

// emit queues bytes of a flow that the frames have brought.
func (r *Reader) emit(c *conn, side int, data []byte, frames []int, at int64) *Chunk {
	if c.flow == nil {
		c.flow = r.flows.announce(c)
	}
	direction := dissect.FromServer
	if side == c.client {
		direction = dissect.FromClient
	}
	if len(r.queue) == cap(r.queue) {
		r.queue = slices.Grow(r.queue, max(1, cap(r.queue)))
	}
	r.queue = r.queue[:len(r.queue)+1]
	e := &r.queue[len(r.queue)-1]
	*e = Chunk{Flow: c.flow, Direction: direction, Time: instant(at), Frames: frames, Bytes: data}
	return e
}

// number returns the frame's number as a slice that lives as long as the queue does.
func (r *Reader) number(n int) []int {
	r.numbers = append(r.numbers, n)
	return r.numbers[len(r.numbers)-1 : len(r.numbers) : len(r.numbers)]
}

func instant(ns int64) time.Time {
	if ns == noTime {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC()
}

// KeyLog has the TLS secrets that the capture has shown so far.
func (r *Reader) KeyLog() *KeyLog { return r.o.KeyLog }

// Frames is how many frames were read so far.
func (r *Reader) Frames() int { return r.count.frames }

// Describe says what the capture is, as far as it was read: "pcapng, 1 interface, Ethernet".
func (r *Reader) Describe() string {
	if r.name == "" {
		return r.frames.describe()
	}
	return r.frames.describe() + ", in " + r.name
}

// Notes says what was left out so far, and why: one thing in each line.
func (r *Reader) Notes() []string {
	var notes []string
	add := func(n int, one, many string) {
		if n == 1 {
			notes = append(notes, "1 "+one)
		} else if n > 1 {
			notes = append(notes, fmt.Sprintf("%d %s", n, many))
		}
	}
	var parts []string
	skippedFrames := 0
	for why, n := range r.count.skipped {
		if skipped(why) != taken && n > 0 {
			skippedFrames += n
			parts = append(parts, fmt.Sprintf("%s %d", skipped(why), n))
		}
	}
	list := " left out: " + strings.Join(parts, ", ")
	add(skippedFrames, "frame"+list, "frames"+list)
	add(r.count.cut, "frame was cut by the snap length of the capture", "frames were cut by the snap length of the capture")
	missing := fmt.Sprintf(", %d bytes missing", r.count.missing)
	add(r.count.gaps, "gap in a TCP stream"+missing, "gaps in TCP streams"+missing)
	add(r.count.stray, "TCP segment outside of its stream", "TCP segments outside of their streams")
	add(r.count.evicted, "flow given up because there were too many", "flows given up because there were too many")
	return notes
}

// since is a time of the capture's clock d before now.
func (r *Reader) since(d time.Duration) int64 {
	if r.now < math.MinInt64+int64(d) {
		return noTime
	}
	return r.now - int64(d)
}
