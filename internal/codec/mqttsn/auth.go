package mqttsn

import (
	"bytes"
	"fmt"
)

// Auth follows CONNECT and says who the client is. The specification has no such
// message; bisquitt and its clients do.
type Auth struct {
	Reason uint8 // 0
	Method string
	Data   []byte // aliases the parsed body
}

// AuthPlain is the method of which the data is NUL, user, NUL, password.
const AuthPlain = "PLAIN"

// ParseAuth reads the body of an AUTH message.
func ParseAuth(body []byte, o *Options) (Auth, error) {
	r := newReader(TypeAuth, body, o)
	m := Auth{Reason: r.uint8("reason")}
	off := r.off
	method := r.prefixed(1, "authentication method")
	r.text(off, method, "", "authentication method")
	m.Method, m.Data = string(method), r.rest()
	return m, r.result()
}

// Plain returns what the method PLAIN has in its data. ok is false if it is
// something else, or for somebody else.
func (m *Auth) Plain() (user string, password []byte, ok bool) {
	parts := bytes.SplitN(m.Data, []byte{0}, 3)
	if m.Method != AuthPlain || len(parts) != 3 || len(parts[1]) == 0 || len(parts[0]) > 0 && !bytes.Equal(parts[0], parts[1]) {
		return "", nil, false
	}
	return string(parts[1]), parts[2], true
}

// String keeps the secret.
func (m Auth) String() string {
	return fmt.Sprintf("{%d %s %d bytes}", m.Reason, m.Method, len(m.Data))
}

// Type implements Message.
func (Auth) Type() Type { return TypeAuth }

// Size implements Message.
func (m Auth) Size() int { return messageSize(2 + len(m.Method) + len(m.Data)) }

// Append implements Message.
func (m Auth) Append(dst []byte) ([]byte, error) {
	if err := fits(TypeAuth, 1, []byte(m.Method)); err != nil {
		return dst, err
	}
	b, err := appendHeader(dst, TypeAuth, 2+len(m.Method)+len(m.Data))
	if err != nil {
		return dst, err
	}
	return append(appendPrefixed(append(b, m.Reason), 1, []byte(m.Method)), m.Data...), nil
}
