// Command decode measures how fast captures become lines.
//
//	go run ./internal/bench/decode
//
// It writes a capture of one connection of MQTT 3.1.1, whose client publishes at QoS 1
// and gets its acknowledgements, a packet to a segment, as devices send them, and has
// `iotctl decode --list FILE` and tshark read it, each a few times in turn, with their
// output to nowhere; the best time of each counts. CPU is what the process has used,
// user and system, on all cores.
//
// tshark reads it twice. "lines" is its usual output, a line for each frame with type,
// topic and packet identifier, for which it looks at little else; the bar is about that.
// "fields" has it print what a line of ours says: time, stream, ports, type, QoS, packet
// identifier, topic and payload.
//
// It ends with an error when a bar was missed.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/iotctl/iotctl/internal/capture"
	"github.com/iotctl/iotctl/internal/child"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/dissect"
)

func main() {
	o := options{}
	flag.StringVar(&o.iotctl, "iotctl", "", "the `program` to measure; built from this module by default")
	flag.StringVar(&o.tshark, "tshark", "tshark", "the `program` to compare with")
	flag.IntVar(&o.packets, "packets", 1_000_000, "how many the capture has")
	flag.IntVar(&o.perSegment, "per-segment", 1, "how many a segment has")
	flag.IntVar(&o.runs, "runs", 2, "how often each reads it")
	flag.Parse()
	child.Main("decode", o.measure)
}

type options struct {
	iotctl, tshark            string
	packets, perSegment, runs int
}

// Bars.
const (
	leastPackets = 1e6 // per second of CPU
	leastRatio   = 20  // of tshark's time for lines to ours
)

var errMissed = errors.New("a bar was missed")

// measure prints the table.
func (o options) measure(ctx context.Context, out io.Writer) error {
	dir, err := os.MkdirTemp("", "decode")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if o.iotctl, err = child.Program(ctx, o.iotctl, dir); err != nil {
		return err
	}
	file := filepath.Join(dir, "published.pcapng")
	packets, frames, err := write(file, o.packets, max(o.perSegment, 1))
	if err != nil {
		return err
	}
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%d packets in %d frames, %.1f MB\n", packets, frames, float64(info.Size())/1e6)
	ours, fields, lines := spent{wall: math.MaxInt64}, spent{wall: math.MaxInt64}, spent{wall: math.MaxInt64}
	for range max(o.runs, 1) {
		if err := ours.run(ctx, o.iotctl, "decode", "--list", file); err != nil {
			return err
		}
		if err := lines.run(ctx, o.tshark, "-n", "-r", file); err != nil {
			return err
		}
		if err := fields.run(ctx, o.tshark, append([]string{"-n", "-r", file, "-T", "fields"}, said...)...); err != nil {
			return err
		}
	}
	missed := false
	line := func(name string, met bool, format string, a ...any) {
		verdict := "met"
		if !met {
			verdict, missed = "MISSED", true
		}
		fmt.Fprintf(out, "%-15s %-6s  %s\n", name, verdict, fmt.Sprintf(format, a...))
	}
	perCPU := float64(packets) / ours.cpu.Seconds()
	line("iotctl decode", perCPU >= leastPackets, "%.2f s, CPU %.2f s: %.0f packets per second, %.0f per second of CPU, %.0f ns of CPU each",
		ours.wall.Seconds(), ours.cpu.Seconds(), float64(packets)/ours.wall.Seconds(), perCPU, float64(ours.cpu)/float64(packets))
	compare := func(s spent) (ratio float64, text string) {
		ratio = s.wall.Seconds() / ours.wall.Seconds()
		return ratio, fmt.Sprintf("%.2f s, CPU %.2f s: %.0f packets per second; ours is %.1f times as fast, with %.1f times less CPU",
			s.wall.Seconds(), s.cpu.Seconds(), float64(packets)/s.wall.Seconds(), ratio, s.cpu.Seconds()/ours.cpu.Seconds())
	}
	ratio, text := compare(lines)
	line("tshark, lines", ratio >= leastRatio, "%s", text)
	_, text = compare(fields)
	fmt.Fprintf(out, "%-15s %-6s  %s\n", "tshark, fields", "", text)
	if missed {
		return errMissed
	}
	return nil
}

// said are the fields of what a line of ours says.
var said = []string{
	"-e", "frame.time_relative", "-e", "tcp.stream", "-e", "tcp.srcport", "-e", "tcp.dstport",
	"-e", "mqtt.msgtype", "-e", "mqtt.qos", "-e", "mqtt.msgid", "-e", "mqtt.topic", "-e", "mqtt.msg",
}

// spent is what the fastest run of a program has taken.
type spent struct{ wall, cpu time.Duration }

func (s *spent) run(ctx context.Context, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stderr = io.Discard
	begin := time.Now()
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", program, err)
	}
	if wall := time.Since(begin); wall < s.wall {
		*s = spent{wall: wall, cpu: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}
	}
	return nil
}

// write makes the capture.
func write(name string, want, perSegment int) (packets, frames int, err error) {
	f, err := os.Create(name)
	if err != nil {
		return 0, 0, err
	}
	b := bufio.NewWriterSize(f, 1<<20)
	packets, frames, err = publish(b, want, perSegment)
	return packets, frames, errors.Join(err, b.Flush(), f.Close())
}

// publish writes a connection whose client publishes.
func publish(out io.Writer, want, perSegment int) (packets, frames int, err error) {
	w, err := capture.NewWriter(out, "")
	if err != nil {
		return 0, 0, err
	}
	at := time.Unix(1_700_000_000, 0)
	client, server := netip.MustParseAddrPort("192.0.2.1:40000"), netip.MustParseAddrPort("192.0.2.2:1883")
	c, err := w.Open(client, server, at, "")
	if err != nil {
		return 0, 0, err
	}
	frames = 3
	var b []byte
	add := func(p mqtt.Packet) {
		if err == nil {
			b, err = p.Append(b, mqtt.V311)
		}
		packets++
	}
	send := func(from dissect.Direction) {
		at = at.Add(50 * time.Microsecond)
		if err == nil {
			err = w.Data(c, from, at, b, "")
		}
		b = b[:0]
		frames++
	}
	add(mqtt.Connect{Version: mqtt.V311, ClientID: "bench", CleanStart: true, KeepAlive: 60})
	send(dissect.FromClient)
	add(mqtt.Connack{})
	send(dissect.FromServer)
	payload := []byte(`{"temperature":21.5,"humidity":40}`)
	for id := uint16(1); packets < want && err == nil; {
		first := id
		for range perSegment {
			add(mqtt.Publish{QoS: 1, PacketID: id, Topic: fmt.Appendf(nil, "site/4/device/%d/reading", id%1000), Payload: payload})
			id = id%math.MaxUint16 + 1
		}
		send(dissect.FromClient)
		for range perSegment {
			add(mqtt.Puback{PacketID: first})
			first = first%math.MaxUint16 + 1
		}
		send(dissect.FromServer)
	}
	return packets, frames, errors.Join(err, w.Close(c, dissect.FromClient, at, ""))
}
