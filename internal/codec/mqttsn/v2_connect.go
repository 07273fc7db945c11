package mqttsn

import "fmt"

// Bits of the flags of CONNECT in 2.0.
const (
	connectSuggestV2 = 0x40
	connectRoamV2    = 0x20
	connectAwakeV2   = 0x10
	connectExpiryV2  = 0x08
	connectAuthV2    = 0x04
	connectWillV2    = 0x02
	connectCleanV2   = 0x01
)

// ConnectV2 is the first message of a client of 2.0.
type ConnectV2 struct {
	Suggest       bool // the server may answer with other values
	Roaming       bool // the network address may change
	CleanStart    bool
	PacketID      uint16
	Version       uint8  // as it was sent; Append takes it as it is
	KeepAlive     uint16 // seconds
	MaxPacketSize uint16 // 0 for no limit
	HasAwake      bool
	Awake         uint8 // messages that are sent before the client sleeps again
	HasExpiry     bool
	Expiry        uint32 // seconds that the session outlives the connection
	Will          *WillV2
	Auth          *AuthDataV2
	ClientID      string // "" for one from the server
}

// WillV2 is what the server publishes when a client is lost.
type WillV2 struct {
	Retain  bool
	QoS     uint8
	Topic   TopicV2
	Payload []byte // aliases the parsed body
}

// AuthDataV2 is what CONNECT and CONNACK say to authenticate. Its data alias the
// parsed body.
type AuthDataV2 struct {
	Method string
	Data   []byte
}

// ParseConnectV2 reads the body of a CONNECT message. Of another version nothing
// more is read.
func ParseConnectV2(body []byte, o *Options) (ConnectV2, error) {
	r := newReader(TypeConnectV2, body, o)
	flags := r.reserved(0x7f)
	c := ConnectV2{
		Suggest: flags&connectSuggestV2 != 0, Roaming: flags&connectRoamV2 != 0, CleanStart: flags&connectCleanV2 != 0,
		HasAwake: flags&connectAwakeV2 != 0, HasExpiry: flags&connectExpiryV2 != 0,
	}
	var willFlags byte
	if flags&connectWillV2 != 0 {
		willFlags = r.reserved(0x1f)
	}
	c.PacketID = r.uint16("packet identifier")
	c.Version = r.uint8("protocol version")
	if !r.ended && c.Version != 2 {
		r.flag(r.off-1, Unsupported, Accepted, "", fmt.Sprintf("protocol version %d is not supported", c.Version))
		r.ended = true
		return c, r.result()
	}
	c.limits(&r)
	if flags&connectWillV2 != 0 {
		c.Will = r.willV2(willFlags)
	}
	if flags&connectAuthV2 != 0 {
		c.Auth = r.authV2()
	}
	if r.left() > 0 {
		off := r.off
		id := r.rest()
		r.text(off, id, "", "client identifier")
		c.ClientID = string(id)
	}
	return c, r.result()
}

// limits reads the numbers of a CONNECT.
func (c *ConnectV2) limits(r *reader) {
	c.KeepAlive = r.uint16("keep alive")
	if !r.ended && c.KeepAlive == 0 {
		r.flag(r.off-2, Violation, Accepted, "", "keep alive is 0")
	}
	c.MaxPacketSize = r.uint16("maximum packet size")
	if !r.ended && c.MaxPacketSize > 0 && c.MaxPacketSize < 10 {
		r.flag(r.off-2, Violation, Accepted, "", fmt.Sprintf("maximum packet size %d", c.MaxPacketSize))
	}
	if c.HasAwake {
		c.Awake = r.uint8("default awake messages")
	}
	if c.HasExpiry {
		c.Expiry = r.uint32("session expiry")
	}
}

func (r *reader) willV2(flags byte) *WillV2 {
	w := &WillV2{Retain: flags&flagRetain != 0, QoS: r.qos(1, flags>>2&3)}
	w.Topic = r.topicV2(TopicKindV2(flags&3), false, false)
	w.Payload = r.prefixed(2, "will payload")
	return w
}

func (r *reader) authV2() *AuthDataV2 {
	off := r.off
	method := r.prefixed(1, "authentication method")
	r.text(off, method, "", "authentication method")
	return &AuthDataV2{string(method), r.prefixed(2, "authentication data")}
}

// Type implements Message.
func (ConnectV2) Type() Type { return TypeConnectV2 }

func (c *ConnectV2) length() int {
	n := 1 + 2 + 1 + 2 + 2 + len(c.ClientID) + c.Auth.size()
	if c.HasAwake {
		n++
	}
	if c.HasExpiry {
		n += 4
	}
	if c.Will != nil {
		n += 1 + c.Will.Topic.size(false) + 2 + len(c.Will.Payload)
	}
	return n
}

// Size implements Message.
func (c ConnectV2) Size() int { return messageSize(c.length()) }

// Append implements Message.
func (c ConnectV2) Append(dst []byte) ([]byte, error) {
	if err := c.Auth.check(TypeConnectV2); err != nil {
		return dst, err
	}
	if err := c.Will.check(); err != nil {
		return dst, err
	}
	b, err := appendHeader(dst, TypeConnectV2, c.length())
	if err != nil {
		return dst, err
	}
	b = append(b, bit(c.Suggest, connectSuggestV2)|bit(c.Roaming, connectRoamV2)|bit(c.HasAwake, connectAwakeV2)|
		bit(c.HasExpiry, connectExpiryV2)|bit(c.Auth != nil, connectAuthV2)|bit(c.Will != nil, connectWillV2)|bit(c.CleanStart, connectCleanV2))
	if w := c.Will; w != nil {
		b = append(b, bit(w.Retain, flagRetain)|w.QoS<<2|byte(w.Topic.Kind))
	}
	b = append(appendUint16(b, c.PacketID), c.Version)
	b = appendUint16(appendUint16(b, c.KeepAlive), c.MaxPacketSize)
	if c.HasAwake {
		b = append(b, c.Awake)
	}
	if c.HasExpiry {
		b = appendUint32(b, c.Expiry)
	}
	if w := c.Will; w != nil {
		b = appendPrefixed(w.Topic.append(b, false), 2, w.Payload)
	}
	return append(c.Auth.append(b), c.ClientID...), nil
}

func (w *WillV2) check() error {
	switch {
	case w == nil:
		return nil
	case w.QoS > 2:
		return unencodable(TypeConnectV2, "will with QoS %d", w.QoS)
	}
	if err := fits(TypeConnectV2, 2, w.Payload); err != nil {
		return err
	}
	return w.Topic.check(TypeConnectV2)
}

func (a *AuthDataV2) size() int {
	if a == nil {
		return 0
	}
	return 1 + len(a.Method) + 2 + len(a.Data)
}

func (a *AuthDataV2) check(t Type) error {
	if a == nil {
		return nil
	}
	if err := fits(t, 1, []byte(a.Method)); err != nil {
		return err
	}
	return fits(t, 2, a.Data)
}

func (a *AuthDataV2) append(dst []byte) []byte {
	if a == nil {
		return dst
	}
	return appendPrefixed(appendPrefixed(dst, 1, []byte(a.Method)), 2, a.Data)
}
