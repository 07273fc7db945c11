package mqtt

import (
	"encoding/binary"
	"fmt"
)

// Connect asks a server for a session. ParseConnect returns the version that
// was asked for even if it refuses it, so that the answer can have its form.
type Connect struct {
	ProtocolName string // "MQIsdp" or "MQTT"; Append takes "" for the version's own
	Version      Version
	Bridge       bool // bit 7 of the protocol level, 3.x only: mosquitto's bridges set it
	CleanStart   bool // clean session before 5.0
	KeepAlive    uint16
	Properties   Properties
	ClientID     string
	Will         *Will
	HasUsername  bool
	Username     string
	HasPassword  bool
	Password     []byte
}

// Will is the message that the server publishes when the connection ends badly.
type Will struct {
	Topic      string
	Payload    []byte
	QoS        uint8
	Retain     bool
	Properties Properties
}

const (
	flagReserved   = 1 << 0
	flagCleanStart = 1 << 1
	flagWill       = 1 << 2
	flagWillQoS    = 3 << 3
	flagWillRetain = 1 << 5
	flagPassword   = 1 << 6
	flagUsername   = 1 << 7
	levelBridge    = 1 << 7
)

// ParseConnect reads the body of a CONNECT packet. The version in o is ignored.
func ParseConnect(body []byte, flags uint8, o *Options) (Connect, error) {
	r := newReader(TypeConnect, body, 0, o)
	var c Connect
	r.protocol(&c)
	if flags != 0 { // judged here, so that the version is known to whoever answers
		r.flags(flags)
	}
	bits := r.connectFlags()
	c.CleanStart = bits&flagCleanStart != 0
	c.KeepAlive = r.uint16("keep alive")
	at := r.off
	c.Properties = r.properties(In(TypeConnect))
	if c.Properties.Has(PropAuthenticationData) && !c.Properties.Has(PropAuthenticationMethod) {
		r.flag(at, ProtocolError, "", "MQTT-3.1.2.11.10", "authentication-data without authentication-method")
	}
	// The order of the fields: [MQTT-3.1.3-1] [MQTT3-3.1.3-1]
	r.clientID(&c)
	if bits&flagWill != 0 {
		c.Will = r.will(bits)
	}
	r.credentials(&c, bits)
	if r.left() > 0 {
		v3, v5 := "MQTT3-4.8.0-1", "MQTT-4.13.1-1"
		switch {
		case bits&flagUsername == 0:
			v3, v5 = "MQTT3-3.1.2-18", "MQTT-3.1.2-16"
		case bits&flagPassword == 0:
			v3, v5 = "MQTT3-3.1.2-20", "MQTT-3.1.2-18"
		}
		r.flag(r.off, MalformedPacket, v3, v5, byteCount(r.left())+" after the last field that the flags announce")
	}
	return c, r.result()
}

// protocol reads name and level and sets the version that the rest is read by.
func (r *reader) protocol(c *Connect) {
	r.v = V311 // whose statements name errors before the level is known
	c.ProtocolName = string(r.bytes("protocol name"))
	if r.err == nil && c.ProtocolName != "MQTT" && c.ProtocolName != "MQIsdp" {
		r.flag(0, UnsupportedProtocolVersion, "MQTT3-3.1.2-1", "MQTT-3.1.2-1", fmt.Sprintf("protocol name %.32q", c.ProtocolName))
	}
	at := r.off
	level := r.uint8("protocol level")
	if r.err != nil {
		c.Version = Version(level)
		return
	}
	if v := Version(level &^ levelBridge); level&levelBridge != 0 && (v == V31 || v == V311) {
		c.Bridge = true
		level &^= levelBridge
	}
	c.Version = Version(level)
	known := c.Version == V31 || c.Version == V311 || c.Version == V5
	if !known || (c.Version.Name() != c.ProtocolName && (c.ProtocolName == "MQTT" || c.ProtocolName == "MQIsdp")) {
		r.flag(at, UnsupportedProtocolVersion, "MQTT3-3.1.2-2", "MQTT-3.1.2-2", fmt.Sprintf("protocol level %d of %.32q", level, c.ProtocolName))
	}
	r.v = min(max(c.Version, V31), V5)
}

func (r *reader) connectFlags() uint8 {
	at := r.off
	bits := r.uint8("connect flags")
	if r.err != nil {
		return 0
	}
	qos := bits & flagWillQoS >> 3
	if bits&flagReserved != 0 && r.v != V31 {
		r.flag(at, MalformedPacket, "MQTT3-3.1.2-3", "MQTT-3.1.2-3", "reserved connect flag is set")
	}
	if bits&flagWill == 0 && qos != 0 {
		r.flag(at, MalformedPacket, "MQTT3-3.1.2-13", "MQTT-3.1.2-11", fmt.Sprintf("will QoS %d without a will", qos))
	}
	if bits&flagWill != 0 && qos == 3 {
		r.flag(at, MalformedPacket, "MQTT3-3.1.2-14", "MQTT-3.1.2-12", "will QoS 3")
	}
	if bits&flagWill == 0 && bits&flagWillRetain != 0 {
		r.flag(at, MalformedPacket, "MQTT3-3.1.2-15", "MQTT-3.1.2-13", "will retain without a will")
	}
	if bits&flagUsername == 0 && bits&flagPassword != 0 && r.v < V5 {
		r.flag(at, MalformedPacket, "MQTT3-3.1.2-22", "", "password without user name")
	}
	return bits
}

func (r *reader) clientID(c *Connect) {
	at := r.off
	c.ClientID = string(r.text("client identifier")) // [MQTT-3.1.3-3] [MQTT-3.1.3-4] [MQTT3-3.1.3-3] [MQTT3-3.1.3-4]
	if r.err != nil {
		return
	}
	switch n := len(c.ClientID); {
	case n == 0 && r.v == V311 && !c.CleanStart:
		r.flag(at, ClientIdentifierNotValid, "MQTT3-3.1.3-8", "", "empty client identifier without clean session")
	case n == 0 && r.v == V31:
		r.flag(at, ClientIdentifierNotValid, "", "", "empty client identifier in MQTT 3.1")
	case n > 23 && r.v == V31:
		r.note(at, "", "", "client identifier longer than the 23 characters of MQTT 3.1")
	}
}

func (r *reader) will(bits uint8) *Will {
	w := &Will{QoS: bits & flagWillQoS >> 3, Retain: bits&flagWillRetain != 0}
	w.Properties = r.properties(InWill)
	at := r.off
	if r.left() == 0 {
		r.stop(at, "MQTT3-3.1.2-9", "MQTT-3.1.2-9", "will is missing")
	}
	topic := r.bytes("will topic")
	r.name(at, topic, "MQTT3-4.7.1-1", "MQTT-4.7.0-1", "will topic") // [MQTT-3.1.3-11] [MQTT3-3.1.3-10]
	if len(topic) == 0 {
		r.flag(at, TopicNameInvalid, "MQTT3-4.7.3-1", "MQTT-4.7.3-1", "will topic is empty")
	}
	w.Topic = string(topic)
	at = r.off
	w.Payload = r.bytes("will payload")
	r.declaredText(at, w.Properties, w.Payload, "will payload")
	return w
}

// credentials reads user name and password. In 3.1 a flag may announce what
// is not there.
func (r *reader) credentials(c *Connect, bits uint8) {
	absent := func() bool { return r.v == V31 && r.err == nil && r.left() == 0 }
	if bits&flagUsername != 0 && !absent() {
		if r.left() == 0 {
			r.stop(r.off, "MQTT3-3.1.2-19", "MQTT-3.1.2-17", "user name is missing")
		}
		c.Username = string(r.text("user name")) // [MQTT-3.1.3-12] [MQTT3-3.1.3-11]
		c.HasUsername = r.err == nil
	}
	if bits&flagPassword != 0 && !absent() {
		if r.left() == 0 {
			r.stop(r.off, "MQTT3-3.1.2-21", "MQTT-3.1.2-19", "password is missing")
		}
		c.Password = r.bytes("password")
		c.HasPassword = r.err == nil
	}
}

func (Connect) Type() Type { return TypeConnect }

// version is the one that c names, or that of the connection.
func (c Connect) version(v Version) Version {
	if c.Version != 0 {
		return c.Version
	}
	return v
}

func (c Connect) name(v Version) string {
	if c.ProtocolName != "" {
		return c.ProtocolName
	}
	return v.Name()
}

func (c Connect) remaining(v Version) int {
	n := 2 + len(c.name(v)) + 1 + 1 + 2 + propertiesSize(c.Properties, v) + 2 + len(c.ClientID)
	if c.Will != nil {
		n += propertiesSize(c.Will.Properties, v) + 2 + len(c.Will.Topic) + 2 + len(c.Will.Payload)
	}
	if c.HasUsername {
		n += 2 + len(c.Username)
	}
	if c.HasPassword {
		n += 2 + len(c.Password)
	}
	return n
}

// Size implements Packet; v counts only if c names no version.
func (c Connect) Size(v Version) int { return packetSize(c.remaining(c.version(v))) }

// Append implements Packet; v counts only if c names no version.
func (c Connect) Append(dst []byte, v Version) ([]byte, error) {
	v = c.version(v)
	name := c.name(v)
	if err := fits(TypeConnect, len(name), len(c.ClientID), len(c.Username), len(c.Password)); err != nil {
		return dst, err
	}
	bits := uint8(0)
	if c.CleanStart {
		bits |= flagCleanStart
	}
	if c.HasUsername {
		bits |= flagUsername
	}
	if c.HasPassword {
		bits |= flagPassword
	}
	if w := c.Will; w != nil {
		if err := fits(TypeConnect, len(w.Topic), len(w.Payload)); err != nil {
			return dst, err
		}
		if w.QoS > 2 {
			return dst, fmt.Errorf("append CONNECT: will QoS %d: %w", w.QoS, ErrUnencodable)
		}
		bits |= flagWill | w.QoS<<3
		if w.Retain {
			bits |= flagWillRetain
		}
	}
	level := byte(v)
	if c.Bridge && v < V5 {
		level |= levelBridge
	}
	b, err := appendHeader(dst, TypeConnect, 0, c.remaining(v))
	if err != nil {
		return dst, err
	}
	b = append(appendString(b, name), level, bits)
	b = binary.BigEndian.AppendUint16(b, c.KeepAlive)
	b = appendProperties(b, c.Properties, v)
	b = appendString(b, c.ClientID)
	if w := c.Will; w != nil {
		b = appendProperties(b, w.Properties, v)
		b = appendString(b, w.Topic)
		b = appendBytes(b, w.Payload)
	}
	if c.HasUsername {
		b = appendString(b, c.Username)
	}
	if c.HasPassword {
		b = appendBytes(b, c.Password)
	}
	return b, nil
}
