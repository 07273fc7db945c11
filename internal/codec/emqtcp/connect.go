package emqtcp

import "fmt"

// Version is the one that there is.
const Version = 1

// Connect is the first frame of a client.
type Connect struct {
	Version     uint8 // as it was sent; Append takes it as it is
	KeepAlive   uint8 // seconds, 0 for none
	ClientID    string
	HasUsername bool
	Username    string
	HasPassword bool
	Password    []byte // aliases the parsed body
}

// ParseConnect reads the body of a CONNECT frame. Of another version nothing is
// read, because its fields may be others; the error has the code IllegalVersion.
func ParseConnect(body []byte, flags uint8, o *Options) (Connect, error) {
	r := newReader(TypeConnect, body, o)
	c := Connect{Version: flags}
	if r.err == nil && flags != Version && (flags != 0 || !o.AcceptVersion0) {
		r.version(flags)
	}
	c.KeepAlive = r.uint8("keep alive")
	c.ClientID = r.text("client identifier")
	if r.left() > 0 {
		c.Username = r.text("user name")
		c.HasUsername = r.err == nil
	}
	if r.left() > 0 {
		c.Password = r.bytes("password")
		c.HasPassword = r.err == nil
	}
	if n := r.left(); n > 0 {
		r.flag(r.at(), fmt.Sprintf("%d bytes after the password", n))
	}
	return c, r.result()
}

// version is the end for another version than ours, in lenient mode as well.
func (r *reader) version(v uint8) {
	reason := fmt.Sprintf("protocol version %d is not supported", v)
	if v == 0 {
		reason += "; accept_version_0 takes it for version 1"
	}
	r.stop(inHeader, reason)
	r.err.Code = IllegalVersion
}

// Type implements Packet.
func (Connect) Type() Type { return TypeConnect }

func (c Connect) length() int {
	n := 1 + 2 + len(c.ClientID)
	if c.HasUsername || c.HasPassword {
		n += 2 + len(c.Username)
	}
	if c.HasPassword {
		n += 2 + len(c.Password)
	}
	return n
}

// Size implements Packet.
func (c Connect) Size() int { return headBytes + c.length() }

// Append implements Packet. A password without a user name gets an empty one.
func (c Connect) Append(dst []byte) ([]byte, error) {
	b, err := appendHeader(dst, TypeConnect, c.Version, c.length())
	if err != nil {
		return dst, err
	}
	b = appendField(append(b, c.KeepAlive), c.ClientID)
	if c.HasUsername || c.HasPassword {
		b = appendField(b, c.Username)
	}
	if c.HasPassword {
		b = appendField(b, c.Password)
	}
	return b, nil
}
