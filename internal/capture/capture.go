// Package capture finds out what was sent, and by whom, in what people have
// recorded: captures of a network (pcap, pcapng, live from a pipe), and dumps that
// were pasted as text. It also writes captures, and decrypts TLS streams whose keys
// were logged.
//
// # Promises
//
// No input makes anything here panic. Memory is bounded by [Options] and by what has
// been read, never by a length that the input only claims. A [Reader] returns what a
// packet completes before it asks for the next one, and does not read ahead of what is
// there. It allocates for a new flow, but not for a packet. Nothing here starts a
// goroutine, and a value of any type here belongs to one goroutine at a time; a [KeyLog]
// may be shared by one that reads a capture and one that decrypts.
//
// # Left out
//
// Capturing from an interface, which needs privileges and other programs do. Checksums
// are not verified: network cards fill them in after the capture has seen the packet.
// DTLS is not decrypted. What the bytes mean is for package dissect.
package capture

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/iotctl/iotctl/internal/dissect"
)

// Flow is one TCP connection, or the datagrams between two addresses.
type Flow struct {
	Number    int    // from 1
	Transport string // "tcp" or "udp"
	// Client has sent the SYN; where none was seen, the other has the port of a known
	// service, or the lower one.
	Client, Server netip.AddrPort
	Joined         bool // it began before the capture
}

// Chunk is a run of bytes of one direction of a flow, or a datagram.
type Chunk struct {
	Flow      *Flow
	Direction dissect.Direction
	Time      time.Time // when the last of Frames was captured; zero: unknown
	Frames    []int     // numbers in the capture, from 1; valid until the next call
	Bytes     []byte    // in order; valid until the next call
	Gap       int       // bytes missing before Bytes (TCP); -1: unknown how many
	Cut       int       // bytes at the end of a datagram that the capture has left out
	Datagram  bool
	// End says that nothing follows in this direction: its sender has ended there, or,
	// with Broken, somebody has reset the connection, begun another one between the
	// same ports, or there were too many flows to keep this one.
	End, Broken bool
	// Comment is on the frame, in pcapng. There may be nothing else: then there are no
	// Bytes.
	Comment string
}

// Options are the bounds of a Reader. The zero value is good for captures of any size.
type Options struct {
	// MaxFlows is how many flows are kept; the one that was quiet for longest goes.
	// 0: 65,536.
	MaxFlows int
	// MaxFlowBytes is how much of one direction may wait for a missing segment. 0: 1 MiB.
	MaxFlowBytes int
	// MaxBytes is how much may wait in all. 0: 64 MiB.
	MaxBytes int
	// MaxWait is how long, by the clock of the capture, it may wait. 0: 30 s.
	MaxWait time.Duration
	// KeyLog is given what secrets the capture has. nil: the Reader makes one.
	KeyLog *KeyLog
}

func (o Options) withDefaults() Options {
	if o.MaxFlows <= 0 {
		o.MaxFlows = 65536
	}
	if o.MaxFlowBytes <= 0 {
		o.MaxFlowBytes = 1 << 20
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = 64 << 20
	}
	if o.MaxWait <= 0 {
		o.MaxWait = 30 * time.Second
	}
	if o.KeyLog == nil {
		o.KeyLog = new(KeyLog)
	}
	return o
}

// Damaged is an error in the form of a capture. It wraps io.ErrUnexpectedEOF when the
// capture ends within something, as it does when the one who writes it is interrupted.
type Damaged struct {
	Offset int64  // in the file, after decompression
	Part   string // "packet record 7", "block 3 (enhanced packet)"
	Reason string
	Err    error // may be nil
}

// Error implements error.
func (d *Damaged) Error() string {
	return fmt.Sprintf("%s at byte %d: %s", d.Part, d.Offset, d.Reason)
}

// Unwrap returns Err.
func (d *Damaged) Unwrap() error { return d.Err }
