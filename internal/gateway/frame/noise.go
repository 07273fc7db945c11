package frame

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/iotctl/iotctl/internal/codec/emqtcp"
	"github.com/iotctl/iotctl/internal/codec/frame"
	"github.com/iotctl/iotctl/internal/gateway"
	"github.com/iotctl/iotctl/internal/transport"
)

// noise is what came before the first frame of a connection, or what ended it.
type noise struct {
	lost  int    // bytes that were skipped
	first []byte // of them
	left  int    // bytes of what may have become a frame
	rest  []byte // the first of them
}

// noiseBytes is how many of the first bytes are kept: enough to see what they are,
// and too few for a password.
const noiseBytes = 16

func (n *noise) skipped(b []byte) {
	n.lost += len(b)
	n.first = append(n.first, b[:min(len(b), noiseBytes-len(n.first))]...)
}

func (n *noise) waits(b []byte) {
	n.left = len(b)
	n.rest = append(n.rest[:0], b[:min(len(b), noiseBytes)]...)
}

// heardNoise takes note of bytes that were skipped, and of those that still wait.
func (d *device) heardNoise(skipped, waits []byte) {
	if d.noise == nil {
		if len(skipped) == 0 && len(waits) == 0 {
			return
		}
		d.noise = new(noise)
	}
	d.noise.skipped(skipped)
	d.noise.waits(waits)
}

// Ended implements gateway.Ender: it says what came that is no frame. So many
// can be made to end like this that only one a second is told at info.
func (d *device) Ended(*gateway.End) {
	n := d.noise
	if n == nil || n.lost+n.left == 0 {
		return
	}
	first := slices.Concat(n.first, n.rest)
	first = first[:min(len(first), noiseBytes)]
	level := slog.LevelInfo
	now := time.Now().Unix()
	if last := d.g.toldNoise.Load(); now == last || !d.g.toldNoise.CompareAndSwap(last, now) {
		level = slog.LevelDebug
	}
	attrs := []any{"codec", d.codec.Name(), "bytes", n.lost + n.left, "first", fmt.Sprintf("% x", first)}
	if what := looksLike(first); what != "" {
		attrs = append(attrs, "looks_like", what)
	}
	d.Log().Log(context.Background(), level, "bytes that are no frame", attrs...)
}

// looksLike names what the first bytes of a connection may be; "" if unknown.
func looksLike(b []byte) string {
	if what := transport.Sniff(b); what != "" {
		return what
	}
	if raw, ok := emqtcp.HexText(b); ok && len(raw) > 1 {
		return "hex as text: send the bytes themselves"
	}
	return ""
}

// wrongSums counts and logs the frames that the splitter has left out for their
// checksum, the last of them among data.
func (d *device) wrongSums(data []byte) {
	more := d.in.Dropped() - d.dropped
	if more == 0 {
		return
	}
	d.dropped += more
	d.g.counts.checksum.Add(uint64(more))
	d.Refused("frame", "", sumError{&d.in, data})
	d.dump(func() []byte {
		raw, _ := d.in.Wrong(data)
		return raw
	})
}

// sumError says what is wrong with a checksum only when it is asked: most are not
// told. It is valid as long as its bytes are.
type sumError struct {
	in   *frame.Splitter
	data []byte
}

func (e sumError) Error() string {
	_, why := e.in.Wrong(e.data)
	return "wrong checksum: " + why
}

// dumpBytes is the most that is dumped of one frame.
const dumpBytes = 4096

// dump logs a frame in hex at debug, to be made a test of the definition: not
// those that may hold the password of the login.
func (d *device) dump(raw func() []byte) {
	ctx := context.Background()
	if d.g.log == nil || !d.g.log.Enabled(ctx, slog.LevelDebug) || d.session.Password != "" && d.id == "" {
		return
	}
	b := raw()
	d.Log().Debug("frame in hex", "codec", d.codec.Name(), "bytes", len(b), "hex", fmt.Sprintf("%x", b[:min(len(b), dumpBytes)]))
}
