package mqttsn

import (
	"errors"

	"github.com/iotctl/iotctl/internal/codec/mqttsn"
)

// CONNECT has no room for a password. Where the settings have it so, each is
// followed by AUTH with user and password; the specification has no such message,
// but bisquitt and its clients do. A client that waits for its AUTH is half-open:
// bounded in number and time like those that are asked for their wills.

// AuthExtension is about AUTH.
type AuthExtension struct {
	// Enabled has every client say who it is with AUTH, that comes by DTLS.
	Enabled bool
	// Insecure has the others do so, too: everybody on the way can read that.
	Insecure bool
}

// login is what AUTH says.
type login struct {
	user     string
	password []byte
}

// wantsAuth reports whether a CONNECT is followed by AUTH at p.
func (t *terms) wantsAuth(p path) bool {
	return t.AuthExtension.Enabled && (t.AuthExtension.Insecure || p.port.secure())
}

// proved reports whether the handshake of DTLS says who is there, by a key or a
// certificate.
func (p *port) proved() bool {
	return p.info.PSKIdentity != "" || p.info.TLS != nil && len(p.info.TLS.PeerCertificates) > 0
}

// awaitAuth goes on when AUTH has come. There is nothing that asks for it.
func (c *client) awaitAuth(w *work, s *setup) {
	c.prepare(s)
	s.asked, s.due = mqttsn.TypeAuth, s.end
	c.g.lobby.enter(c)
	c.arm(w.now)
}

// authExtension goes on with who the client says it is.
func (c *client) authExtension(w *work, body []byte) {
	s := c.setup
	if s.asked != mqttsn.TypeAuth { // sent again
		c.g.counts.duplicates.Add(1)
		return
	}
	m, err := mqttsn.ParseAuth(body, &w.options)
	if isGarbled(err) {
		c.g.counts.malformed.Add(1)
		return
	}
	user, password, ok := m.Plain()
	switch {
	case err != nil:
	case m.Method != mqttsn.AuthPlain:
		err = errors.New("the method of AUTH is not PLAIN")
	case !ok:
		err = errors.New("AUTH does not hold NUL, user, NUL, password")
	}
	if err != nil {
		c.fail(w, mqttsn.NotSupported, err)
		return
	}
	if c.link != nil {
		if !c.g.crew.ask() {
			c.g.counts.crowded.Add(1)
			return
		}
		defer c.g.crew.asked()
	}
	s.login = &login{user, append([]byte(nil), password...)}
	code, err := c.g.authenticate(s)
	s.login = nil
	if code != mqttsn.Accepted {
		c.fail(w, code, err)
		return
	}
	c.admit(w, s)
}
