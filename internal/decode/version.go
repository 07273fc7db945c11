package decode

import (
	"fmt"
	"strings"

	"github.com/iotctl/iotctl/internal/dissect"
)

// Bounds of what waits until the version of MQTT is known.
const (
	evidenceBytes   = 64 << 10
	evidencePackets = 256
)

// versionHold is a stream of MQTT that has begun without its CONNECT: its packets
// wait until they tell the version.
type versionHold struct {
	d        dissect.Dissector
	evidence dissect.Evidence
	sides    [3]struct {
		buf  []byte
		dead bool // where its packets begin is not known
	}
	bytes, packets int
	at             piece // the one that decided, without its bytes
	connect        bool  // a CONNECT has come: it says the version
}

// versioned makes l a level of d's packets, or has it wait until their version is
// known.
func (e *Engine) versioned(l *level, d dissect.Dissector) error {
	version := l.s.version
	if e.as != nil {
		version = e.level
	}
	if d.Name() == mqttName && version == 0 && !l.connects() {
		l.hold = &versionHold{d: d}
		for i := range e.queue {
			if ev := &e.queue[i]; ev.level == l {
				l.hold.add(&ev.piece)
			}
		}
		return e.decideVersion(l, false)
	}
	l.become(d)
	l.st.Version = version
	return e.recognised(l)
}

// connects reports whether a side of l begins with a CONNECT of MQTT.
func (l *level) connects() bool {
	for _, dir := range []dissect.Direction{dissect.Unknown, dissect.FromClient} {
		if b := l.heads[dir].bytes; len(b) > 0 && b[0] == mqttConnect {
			return true
		}
	}
	return false
}

// mqttConnect is the first byte of a CONNECT.
const mqttConnect = 0x10

// add takes what p says about the version.
func (v *versionHold) add(p *piece) {
	side := &v.sides[p.dir]
	v.bytes += len(p.bytes)
	if p.gap != 0 {
		side.dead = true // what was before has been said
	}
	if side.dead || v.connect {
		return
	}
	side.buf = append(side.buf, p.bytes...)
	b := side.buf
	for {
		size := v.d.(dissect.Sizer).Size(b)
		if size <= 0 || size > len(b) {
			break
		}
		if c, _ := v.d.Sniff(b[:size], dissect.Hint{Direction: p.dir}); c == dissect.No {
			side.dead = true
			break
		}
		if v.packets++; b[0] == mqttConnect {
			v.connect = true
			break
		}
		v.evidence.Add(p.dir, b[:size])
		b = b[size:]
		if _, sure, _ := v.evidence.Decide(); sure {
			v.at = *p
			break
		}
	}
	side.buf = side.buf[:copy(side.buf, b)]
}

// decideVersion lets the packets of l go when their version is known, or it will not
// be; force does so anyway.
func (e *Engine) decideVersion(l *level, force bool) error {
	v := l.hold
	version, sure, why := v.evidence.Decide()
	if !sure && !v.connect && !force && v.bytes < evidenceBytes && v.packets < evidencePackets {
		return nil
	}
	l.hold = nil
	l.become(v.d)
	if v.connect {
		return e.recognised(l)
	}
	l.st.Version = version
	s := &l.s.Stream
	s.Version = versionNames[version]
	n := Note{Kind: Versioned, Stream: s, Direction: v.at.dir, Time: v.at.time, Frames: v.at.frames}
	switch {
	case sure:
		n.Text = fmt.Sprintf("there is no CONNECT: MQTT %s, since %s", s.Version, why)
	case v.packets == 0:
		n.Text = fmt.Sprintf("there is no CONNECT, and no whole packet: MQTT %s is assumed", s.Version)
	case strings.Contains(why, "likely"):
		n.Text = "there is no CONNECT: " + why
	default:
		n.Text = fmt.Sprintf("there is no CONNECT: MQTT %s is likely: %s", s.Version, why)
	}
	if !sure {
		n.Hint = "--as mqtt3.1, mqtt3.1.1 or mqtt5 reads it as such"
	}
	if err := e.recognised(l); err != nil {
		return err
	}
	return e.noteBefore(l, n)
}

// versionNames are the names of MQTT's protocol levels.
var versionNames = map[uint8]string{3: "3.1", 4: "3.1.1", 5: "5.0"}

// recognised says what l is.
func (e *Engine) recognised(l *level) error {
	s := &l.s.Stream
	return e.noteBefore(l, Note{Kind: Recognised, Stream: s, Text: s.Protocol + ": " + s.Why})
}
