package transport

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"time"

	"github.com/pion/dtls/v3"
)

// A client shows that it receives what is sent to its address before there is any
// state for it: it is told a cookie, which it returns, and the cookie is computed
// from what it has said and where it is: RFC 6347 §4.2.1.
const (
	cookieBytes = 20 // as many as the library's have
	cookieTime  = 30 * time.Second
	// helloVerifyBytes is the length of the answer, which is less than that of any
	// ClientHello.
	helloVerifyBytes   = recordHeaderBytes + messageHeaderBytes + 3 + cookieBytes
	messageHelloVerify = 3
	maxSequence        = 1<<48 - 1
)

type cookie [cookieBytes]byte

// hello is a ClientHello in one record. It aliases the datagram.
type hello struct {
	sequence uint64 // of the record
	number   uint16 // of the message
	start    []byte // version, random, session id
	random   []byte
	cookie   []byte
	rest     []byte // after the cookie
}

// parseHello refuses a ClientHello in fragments: to put them together takes state.
func parseHello(b []byte) (h hello, ok bool) {
	if _, ok = sound(b, 0, false); !ok {
		return h, false
	}
	r, _, ok := cutRecord(b, 0)
	if !ok || r.message() != messageClientHello || len(r) < recordHeaderBytes+messageHeaderBytes {
		return h, false
	}
	m, body := r[recordHeaderBytes:], r[recordHeaderBytes+messageHeaderBytes:]
	length := uint24(m[1:])
	if length != len(body) || uint24(m[6:]) != 0 || uint24(m[9:]) != length {
		return h, false
	}
	const random = 2 // after the version
	start, rest, ok := cutVector(body, random+32)
	if !ok {
		return h, false
	}
	h.start, h.random = start, start[random:random+32]
	if h.cookie, h.rest, ok = cutVector(rest, 0); !ok || len(h.rest) < 6 { // a suite and a compression method
		return h, false
	}
	h.cookie = h.cookie[1:]
	h.sequence, h.number = r.sequence(), binary.BigEndian.Uint16(m[4:])
	return h, true
}

func uint24(b []byte) int { return int(b[0])<<16 | int(b[1])<<8 | int(b[2]) }

// cutVector cuts b after a vector that has a length of one byte, at an offset.
func cutVector(b []byte, at int) (before, after []byte, ok bool) {
	if len(b) <= at || len(b) < at+1+int(b[at]) {
		return nil, nil, false
	}
	end := at + 1 + int(b[at])
	return b[:end], b[end:], true
}

// extensionCID is that of RFC 9146.
const extensionCID = 54

// wantsID reports whether the client offers connection ids, and a suite out of
// some.
func (h *hello) wantsID(some []dtls.CipherSuiteID) bool {
	if len(some) == 0 {
		return false
	}
	n := 2 + int(binary.BigEndian.Uint16(h.rest))
	if len(h.rest) < n {
		return false
	}
	suites, found := h.rest[2:n], false
	for ; len(suites) >= 2 && !found; suites = suites[2:] {
		found = slices.Contains(some, dtls.CipherSuiteID(binary.BigEndian.Uint16(suites)))
	}
	_, b, ok := cutVector(h.rest[n:], 0)
	if !found || !ok || len(b) < 2 {
		return false
	}
	for b = b[2:]; len(b) >= 4; {
		if binary.BigEndian.Uint16(b) == extensionCID {
			return true
		}
		if n = 4 + int(binary.BigEndian.Uint16(b[2:])); len(b) < n {
			return false
		}
		b = b[n:]
	}
	return false
}

// first is the ClientHello that came before h, which is the second one. The
// library wants to see it; the client's signatures and hashes leave it out.
func (h *hello) first() []byte {
	length := len(h.start) + 1 + len(h.rest)
	b := appendMessageHeader(nil, 0xfd, h.sequence-1, messageClientHello, length)
	b = append(append(b, h.start...), 0)
	return append(b, h.rest...)
}

// appendMessageHeader begins a record with one whole message, the first of its
// side. minor is the second byte of the version.
func appendMessageHeader(b []byte, minor byte, sequence uint64, message byte, length int) []byte {
	b = append(b, recordHandshake, 0xfe, minor)
	b = binary.BigEndian.AppendUint64(b, sequence&maxSequence) // epoch 0
	b = binary.BigEndian.AppendUint16(b, uint16(messageHeaderBytes+length))
	l := []byte{byte(length >> 16), byte(length >> 8), byte(length)}
	b = append(append(b, message), l...)
	return append(append(b, 0, 0, 0, 0, 0), l...) // number and offset
}

// challenge is the answer to a client without a cookie. Its versions are those
// that RFC 6347 wants for it.
func (h *hello) challenge(c cookie) []byte {
	b := appendMessageHeader(make([]byte, 0, helloVerifyBytes), 0xff, h.sequence, messageHelloVerify, 3+cookieBytes)
	return append(append(b, 0xfe, 0xff, cookieBytes), c[:]...)
}

// expected is the cookie for a client at an address and a time.
func (d *datagrams) expected(h *hello, from netip.AddrPort, now time.Time) (c cookie) {
	mac := hmac.New(sha256.New, d.secret[:])
	a := from.Addr().As16()
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(now.Unix()/int64(cookieTime/time.Second))))
	mac.Write(binary.BigEndian.AppendUint16(a[:], from.Port()))
	mac.Write(h.random)
	copy(c[:], mac.Sum(nil))
	return c
}

// verified reports whether h bears the cookie for its address. Only the second
// message of a client can.
func (d *datagrams) verified(h *hello, from netip.AddrPort, now time.Time) bool {
	if len(h.cookie) != cookieBytes || h.number != 1 || h.sequence == 0 {
		return false
	}
	for _, at := range []time.Time{now, now.Add(-cookieTime)} {
		if c := d.expected(h, from, at); hmac.Equal(h.cookie, c[:]) {
			return true
		}
	}
	return false
}

// greet answers a client, or takes it in if it has returned its cookie.
func (d *datagrams) greet(l *listener, set *settings, from netip.AddrPort, h *hello, b []byte) (*conn, error) {
	now := time.Now()
	switch {
	case !allowed(set.rules, from.Addr()):
		l.tally.refused(RefusedRule)
		return nil, nil
	case !d.verified(h, from, now):
		d.desk.to, d.desk.out = from, sender{}
		d.desk.offer(h.challenge(d.expected(h, from, now)))
		return nil, nil
	case d.again(from, h, b, &set.cfg):
		return nil, nil
	}
	c := l.admit(set, from)
	if c == nil {
		return nil, nil
	}
	p := newPeer(d, from)
	p.cookie, p.sequence = cookie(h.cookie), h.sequence
	if suites, err := set.tls.source.dtlsSuites(); err == nil && d.idBytes > 0 {
		p.named = h.wantsID(withoutCBC(suites))
	}
	c.begin(p, set)
	if !d.enter(p, &set.cfg, h.first(), b) {
		_ = c.CloseReason("listener-closed")
		return nil, net.ErrClosed
	}
	return c, nil
}

// again passes on what a peer has sent before.
func (d *datagrams) again(from netip.AddrPort, h *hello, b []byte, cfg *ListenConfig) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for p := d.peers[from]; p != nil; p = p.heir {
		if p.cookie == cookie(h.cookie) {
			p.push(b, from, cfg)
			return true
		}
	}
	return false
}

var errNoCookie = errors.New("the library has no cookie to replace")

// adopt makes the library expect the cookie that the client has returned already,
// in place of one of its own. It has no option for that, so the bytes are
// overwritten where it keeps them. It is called while it sends its cookie.
func adopt(c *dtls.Conn, own cookie) error {
	v := reflect.ValueOf(c).Elem().FieldByName("state")
	if v.IsValid() && v.Kind() == reflect.Struct {
		v = v.FieldByName("cookie")
	}
	if !v.IsValid() || v.Type() != reflect.TypeFor[[]byte]() || v.Len() != cookieBytes {
		return errNoCookie
	}
	copy(v.Bytes(), own[:])
	return nil
}

// renumber adds to the numbers of records without keys. What comes first after
// the cookie has the number of the record that brought it: RFC 6347 §4.2.1.
func renumber(b []byte, by uint64) {
	for len(b) > 0 {
		r, rest, ok := cutRecord(b, 0)
		if !ok || !r.plain() {
			return // they begin a datagram
		}
		binary.BigEndian.PutUint64(r[3:], (r.sequence()+by)&maxSequence)
		b = rest
	}
}
