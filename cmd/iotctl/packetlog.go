package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/iotctl/iotctl/internal/client"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// newPacketLog is what -d hears of every packet: a decoded line on standard
// error, or under mosquitto's names the lines of its library on standard
// output.
func newPacketLog(s *settings, t *terminal) func(client.Direction, []byte) {
	if s.peer {
		l := &peerLog{s: s, t: t, id: s.id}
		if s.idPrefix != "" {
			l.id = s.clientID(os.Getpid())
		}
		return l.packet
	}
	return describedLog(t, func(raw []byte, dir client.Direction) string {
		p, _, err := mqtt.Parse(raw, mqtt.Options{Version: s.version, Lenient: true, FromServer: dir == client.Received})
		line := fmt.Sprintf("%d bytes that are no packet: %v", len(raw), err)
		if err == nil {
			line = mqtt.Describe(p, s.version)
		}
		return line
	})
}

// describedLog prints a line for every packet.
func describedLog(t *terminal, describe func([]byte, client.Direction) string) func(client.Direction, []byte) {
	return func(dir client.Direction, raw []byte) {
		now := time.Now().Format("15:04:05.000000")
		arrow := "->"
		if dir == client.Received {
			arrow = "<-"
		}
		line := describe(raw, dir)
		t.mu.Lock()
		defer t.mu.Unlock()
		fmt.Fprintf(t.err, "%s %s %s\n", now, arrow, line)
	}
}

// peerLog repeats the lines of libmosquitto.
type peerLog struct {
	s  *settings
	t  *terminal
	mu sync.Mutex
	id string // "" until known
	// the library gives QoS 0 messages an identifier, too
	mid uint16
}

func (l *peerLog) packet(dir client.Direction, raw []byte) {
	p, _, err := mqtt.Parse(raw, mqtt.Options{Version: l.s.version, Lenient: true, FromServer: dir == client.Received})
	if err != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	name := l.id
	if name == "" {
		name = "(null)"
	}
	if ack, ok := p.(mqtt.Connack); ok && l.id == "" {
		if id, ok := ack.Properties.String(mqtt.PropAssignedClientIdentifier); ok {
			l.id, name = id, id
		}
	}
	var b strings.Builder
	verb := "sending"
	if dir == client.Received {
		verb = "received"
	}
	for _, line := range l.lines(p, dir) {
		if strings.HasPrefix(line, "=") {
			b.WriteString(line[1:])
		} else {
			fmt.Fprintf(&b, "Client %s %s %s", name, verb, line)
		}
		b.WriteByte('\n')
	}
	l.t.mu.Lock()
	defer l.t.mu.Unlock()
	if w, ok := l.t.out.(*bufio.Writer); ok {
		_, _ = w.WriteString(b.String())
		return
	}
	fmt.Fprint(l.t.out, b.String())
}

// lines describes one packet; those with = in front stand for themselves.
func (l *peerLog) lines(p mqtt.Packet, dir client.Direction) []string {
	one := func(format string, a ...any) []string { return []string{fmt.Sprintf(format, a...)} }
	switch p := p.(type) {
	case mqtt.Connack:
		return one("CONNACK (%d)", p.Code)
	case mqtt.Publish:
		id := p.PacketID
		if dir == client.Sent {
			if id == 0 {
				id = l.mid + 1
			}
			l.mid = id
		}
		return one("PUBLISH (d%d, q%d, r%d, m%d, '%s', ... (%d bytes))", bit(p.Dup), p.QoS, bit(p.Retain), id, p.Topic, len(p.Payload))
	case mqtt.Puback:
		if dir == client.Sent {
			return one("PUBACK (m%d, rc%d)", p.PacketID, p.Code)
		}
		return one("PUBACK (Mid: %d, RC:%d)", p.PacketID, p.Code)
	case mqtt.Pubrec:
		if dir == client.Sent {
			return one("PUBREC (m%d, rc%d)", p.PacketID, p.Code)
		}
		return one("PUBREC (Mid: %d)", p.PacketID)
	case mqtt.Pubrel:
		if dir == client.Sent {
			return one("PUBREL (m%d)", p.PacketID)
		}
		return one("PUBREL (Mid: %d)", p.PacketID)
	case mqtt.Pubcomp:
		if dir == client.Sent {
			return one("PUBCOMP (m%d)", p.PacketID)
		}
		return one("PUBCOMP (Mid: %d, RC:%d)", p.PacketID, p.Code)
	case mqtt.Subscribe:
		l.mid = p.PacketID
		var all []string
		for _, f := range p.Filters {
			options := bit(f.NoLocal)<<2 | bit(f.RetainAsPublished)<<3 | int(f.RetainHandling)<<4
			all = append(all, one("SUBSCRIBE (Mid: %d, Topic: %s, QoS: %d, Options: 0x%02x)", p.PacketID, f.Filter, f.QoS, options)...)
		}
		return all
	case mqtt.Suback:
		codes := make([]string, len(p.Codes))
		for i, c := range p.Codes {
			codes[i] = fmt.Sprint(uint8(c))
		}
		if l.s.prog != progSub {
			return one("SUBACK")
		}
		return []string{"SUBACK", fmt.Sprintf("=Subscribed (mid: %d): %s", p.PacketID, strings.Join(codes, ", "))}
	case mqtt.Unsubscribe:
		l.mid = p.PacketID
		var all []string
		for _, f := range p.Filters {
			all = append(all, one("UNSUBSCRIBE (Mid: %d, Topic: %s)", p.PacketID, f)...)
		}
		return all
	}
	return []string{p.Type().String()}
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}
