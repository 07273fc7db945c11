package transport

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/gobwas/ws"
)

// maxUpgradeBytes bounds the HTTP request and response of the opening
// handshake.
const maxUpgradeBytes = 16 << 10

// acceptWebSocket is the server's side of the opening handshake. The request
// is read whole before it is looked at, so that neither its size nor bytes
// that follow it depend on the parser's buffers.
func (s *settings) acceptWebSocket(c *conn) error {
	fail := func(problem string, err error) error {
		return &Error{Op: ClosedWebSocket, Target: c.RemoteAddr().String(), Problem: problem, Timeout: isTimeout(err), Err: err}
	}
	head, early, err := readHead(c.top)
	switch {
	case errors.Is(err, errHeadTooLong):
		_, _ = io.WriteString(c.top, "HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
		return fail("the request is longer than 16 KiB", err)
	case errors.Is(err, errNotHTTP):
		what := Sniff(head)
		if what == "" {
			what = "something else"
		}
		return fail("the client speaks "+what+" on a WebSocket port", err)
	case err != nil:
		return fail("no complete request: "+err.Error(), err)
	}
	chosen, err := s.upgrade(c, head)
	if err != nil {
		return fail(err.Error(), err)
	}
	c.top = &wsLayer{under: c.top, sock: c.sock.(*socket), subprotocol: chosen, early: early, limit: c.pause}
	return nil
}

// upgrade answers a whole request.
func (s *settings) upgrade(c *conn, head []byte) (subprotocol string, err error) {
	var host, origin string
	cfg := &s.cfg.WebSocket
	u := ws.Upgrader{
		OnRequest: func(uri []byte) error {
			path, _, _ := strings.Cut(string(uri), "?")
			if p, err := url.PathUnescape(path); err != nil || p != c.ln.endpoint.Path {
				return reject(http.StatusNotFound, fmt.Sprintf("there is nothing at %.100q", path))
			}
			return nil
		},
		OnHost: func(v []byte) error {
			host = string(v)
			return nil
		},
		OnHeader: func(k, v []byte) error {
			if !strings.EqualFold(string(k), "Origin") {
				return nil
			}
			if origin != "" {
				return reject(http.StatusBadRequest, "two Origin headers")
			}
			origin = string(v)
			return nil
		},
		Protocol: func(offered []byte) bool {
			i := slices.Index(cfg.Subprotocols, string(offered))
			if i >= 0 && subprotocol == "" {
				subprotocol = cfg.Subprotocols[i]
			}
			return i >= 0
		},
		OnBeforeUpgrade: func() (ws.HandshakeHeader, error) {
			if !originAllowed(cfg.Origins, origin, host) || origin != "" && len(cfg.Origins) == 0 && c.rebound(host) {
				return nil, reject(http.StatusForbidden, fmt.Sprintf("pages of %.100q may not connect here", origin))
			}
			if subprotocol == "" && !cfg.AnySubprotocol {
				return nil, reject(http.StatusBadRequest, "no known subprotocol; known are "+strings.Join(cfg.Subprotocols, ", "))
			}
			return nil, nil
		},
	}
	hs, err := u.Upgrade(struct {
		io.Reader
		io.Writer
	}{bytes.NewReader(head), c.top})
	return hs.Protocol, err
}

func reject(status int, reason string) error {
	return ws.RejectConnectionError(ws.RejectionStatus(status), ws.RejectionReason(reason))
}

// originAllowed applies WebSocketConfig.Origins.
func originAllowed(list []string, origin, host string) bool {
	if origin == "" {
		return true
	}
	if len(list) == 0 {
		o, err := url.Parse(origin)
		h := url.URL{Host: host}
		return err == nil && o.Hostname() != "" && strings.EqualFold(o.Hostname(), h.Hostname())
	}
	for _, allowed := range list {
		if allowed == "*" || strings.EqualFold(allowed, origin) {
			return true
		}
		scheme, domain, ok := strings.Cut(allowed, "://*.")
		rest, same := cutPrefixFold(origin, scheme+"://")
		if ok && same && len(rest) > len(domain)+1 && strings.EqualFold(rest[len(rest)-len(domain)-1:], "."+domain) {
			return true
		}
	}
	return false
}

// rebound reports whether host is a name that cannot be this machine's own,
// on a connection from this machine: a page may have had its name resolved to
// 127.0.0.1, and then it comes from the host that the connection names. Names
// that a proxy header vouches for may be anything.
func (c *conn) rebound(host string) bool {
	if c.proxy.IsValid() || !addrPort(c.sock.LocalAddr()).Addr().IsLoopback() {
		return false
	}
	h := url.URL{Host: host}
	name := strings.ToLower(strings.TrimSuffix(h.Hostname(), "."))
	if _, err := netip.ParseAddr(name); err == nil {
		return false
	}
	return name != "localhost" && !strings.HasSuffix(name, ".localhost") // RFC 6761 §6.3
}

func cutPrefixFold(s, prefix string) (rest string, ok bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return "", false
	}
	return s[len(prefix):], true
}

var (
	errHeadTooLong = errors.New("HTTP header too long")
	errNotHTTP     = errors.New("not an HTTP GET request")
)

// readHead reads an HTTP request up to its empty line, and what came with it.
// It gives up at the first byte that cannot begin a GET request.
func readHead(r io.Reader) (head, early []byte, err error) {
	b := make([]byte, 0, 1024)
	for {
		if len(b) == cap(b) {
			if cap(b) >= maxUpgradeBytes {
				return b, nil, errHeadTooLong
			}
			b = slices.Grow(b, min(cap(b), maxUpgradeBytes-len(b)))
		}
		n, err := r.Read(b[len(b):min(cap(b), maxUpgradeBytes)])
		from := max(len(b)-3, 0)
		b = b[:len(b)+n]
		if get := []byte("GET "); !bytes.HasPrefix(b, get) && !bytes.HasPrefix(get, b) {
			return b, nil, errNotHTTP
		}
		if i := bytes.Index(b[from:], []byte("\r\n\r\n")); i >= 0 {
			end := from + i + 4
			if end < len(b) {
				early = slices.Clone(b[end:])
			}
			return b[:end], early, nil
		}
		if err != nil {
			if len(b) > 0 && errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return b, nil, err
		}
		if len(b) >= maxUpgradeBytes {
			return b, nil, errHeadTooLong
		}
	}
}

// dialWebSocket is the client's side of the opening handshake.
func (cfg *DialConfig) dialWebSocket(c *conn, e Endpoint) error {
	offered := cfg.Subprotocols
	if offered == nil && len(e.Scheme.Subprotocols) > 0 {
		offered = e.Scheme.Subprotocols[:1]
	}
	host := e.Address()
	if e.Port == 80 && !e.Scheme.TLS || e.Port == 443 && e.Scheme.TLS {
		host = strings.TrimSuffix(host, fmt.Sprintf(":%d", e.Port))
	}
	header := cfg.Header.Clone()
	if h := header.Get("Host"); h != "" {
		host = h
		header.Del("Host")
	}
	reason := ""
	d := ws.Dialer{
		Protocols:     offered,
		Host:          host,
		Header:        ws.HandshakeHeaderHTTP(header),
		OnStatusError: func(_ int, r []byte, _ io.Reader) { reason = string(r) },
	}
	br, hs, err := d.Upgrade(struct {
		io.Reader
		io.Writer
	}{io.LimitReader(c.top, maxUpgradeBytes), c.top}, &url.URL{Host: host, Path: e.Path, RawQuery: e.RawQuery})
	if err != nil {
		return upgradeWords(e, reason, err)
	}
	w := &wsLayer{under: c.top, sock: c.sock.(*socket), subprotocol: hs.Protocol, client: true, in: wsReader{fromServer: true}}
	if br != nil {
		w.early = takeBuffered(br)
	}
	c.top = w
	return nil
}

func takeBuffered(br *bufio.Reader) []byte {
	defer ws.PutReader(br)
	b, _ := br.Peek(br.Buffered())
	return slices.Clone(b)
}

// upgradeWords puts a failed opening handshake into words.
func upgradeWords(e Endpoint, reason string, err error) error {
	out := &Error{Op: ClosedWebSocket, Target: e.Address(), Problem: err.Error(), Timeout: isTimeout(err), Err: err}
	status := ws.StatusError(0)
	switch {
	case errors.As(err, &status):
		out.Problem = fmt.Sprintf("the server answered %d %.100q instead of switching protocols", int(status), reason)
		switch int(status) {
		case http.StatusNotFound:
			out.Hint = fmt.Sprintf("the path %q may be wrong; many brokers use /mqtt", e.Path)
		case http.StatusUnauthorized, http.StatusForbidden:
			out.Hint = "a proxy in front of the broker may want an Authorization or Origin header"
		}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, ws.ErrMalformedResponse):
		out.Problem = "the server did not answer with HTTP"
		out.Hint = "the port may speak plain MQTT: use mqtt:// or mqtts://"
	case errors.Is(err, ws.ErrHandshakeBadSubProtocol):
		out.Problem = "the server chose a subprotocol that was not offered"
	}
	return out
}
