package bench

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/transport"
)

// expand replaces %i by the client's number, %c by its identifier, %u by its
// user name, as emqtt_bench does, and %% by a per cent sign.
func expand(template string, number int, id, user string) string {
	if !strings.Contains(template, "%") {
		return template
	}
	return strings.NewReplacer("%%", "%", "%i", strconv.Itoa(number), "%c", id, "%u", user).Replace(template)
}

// dialer is how connections are made.
type dialer struct {
	endpoint transport.Endpoint
	cfg      transport.DialConfig
	loopback bool // source addresses can be spread
	pairs    map[[2]string]tls.Certificate
}

// newDialer reads every file once, so that connections do not.
func newDialer(o *Options) (*dialer, error) {
	d := &dialer{endpoint: o.Endpoint, cfg: o.Dial, pairs: map[[2]string]tls.Certificate{}}
	if !o.Endpoint.Scheme.TLS {
		d.cfg.TLS = nil
	} else if err := d.loadTLS(o.Identities); err != nil {
		return nil, err
	}
	a, err := netip.ParseAddr(o.Endpoint.Host)
	named := o.Endpoint.Host == "localhost"
	d.loopback = runtime.GOOS == "linux" && o.Dial.LocalAddress == "" && o.Dial.Proxy == "" &&
		(err == nil && a.Is4() && a.IsLoopback() || named)
	if d.loopback && named {
		d.endpoint.Host = "127.0.0.1"
		if d.cfg.TLS != nil && d.cfg.TLS.ServerName == "" {
			d.cfg.TLS.ServerName = "localhost"
		}
	}
	return d, nil
}

func (d *dialer) loadTLS(identities []Identity) error {
	t := transport.ClientTLS{}
	if d.cfg.TLS != nil {
		t = *d.cfg.TLS
	}
	var err error
	if t.RootCAs == nil && t.CAPath == "" {
		if t.CAFile != "" {
			pem, err := os.ReadFile(t.CAFile)
			if err != nil {
				return err
			}
			t.RootCAs = x509.NewCertPool()
			if !t.RootCAs.AppendCertsFromPEM(pem) {
				return fmt.Errorf("CA file %q holds no certificate in PEM form", t.CAFile)
			}
		} else if t.RootCAs, err = x509.SystemCertPool(); err != nil {
			return err
		}
	}
	if t.CertFile != "" && len(t.Certificates) == 0 {
		pair, err := d.pair(t.CertFile, t.KeyFile)
		if err != nil {
			return err
		}
		t.Certificates = []tls.Certificate{pair}
	}
	for _, id := range identities {
		if id.CertFile != "" {
			if _, err := d.pair(id.CertFile, id.KeyFile); err != nil {
				return err
			}
		}
	}
	d.cfg.TLS = &t
	return nil
}

func (d *dialer) pair(cert, key string) (tls.Certificate, error) {
	if key == "" {
		key = cert
	}
	if p, ok := d.pairs[[2]string{cert, key}]; ok {
		return p, nil
	}
	p, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return p, fmt.Errorf("client certificate %q with key %q: %w", cert, key, err)
	}
	d.pairs[[2]string{cert, key}] = p
	return p, nil
}

// perSource is how many connections share a source address: well below what
// the range of local ports has, with room for those that have just ended.
const perSource = 10_000

// source is the address that dial number n comes from, "" for any.
func source(n, dials int) string {
	addresses := (dials + perSource - 1) / perSource
	if addresses <= 1 {
		return ""
	}
	a := n%addresses + 1
	return netip.AddrFrom4([4]byte{127, byte(a >> 16), byte(a >> 8), byte(a)}).String()
}

// Connect makes one connection and waits for CONNACK. Each phase is recorded,
// the first from o.Due. An error has been counted.
func (s *Session) Connect(ctx context.Context, o ClientOptions) (*Client, error) {
	if o.Due == 0 {
		o.Due = s.now()
	}
	timed, cancel := context.WithTimeout(ctx, s.plan.ConnectTimeout)
	defer cancel()
	c, err := s.connect(timed, &o)
	if err == nil {
		s.up(c)
		return c, nil
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx) // nobody wants it any more
	}
	sh := s.rec.shard()
	sh.count(func(n *Counters) { n.ConnectFails++ })
	switch {
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		s.rec.descriptors.Add(1)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		s.rec.ports.Add(1)
	}
	s.problem("connect", err)
	return nil, err
}

func (s *Session) connect(ctx context.Context, o *ClientOptions) (*Client, error) {
	sh := s.rec.shard()
	packet, identity := s.connectPacket(o)
	d := s.dialer
	var speaks dialect
	if o.Dialect != nil {
		if d = s.devices; d == nil {
			return nil, errNoDevices
		}
		var err error
		if speaks, err = o.Dialect(&packet); err != nil {
			return nil, err
		}
	}
	cfg := d.cfg
	if d.loopback {
		cfg.LocalAddress = source(int(s.dials.Add(1)), max(s.planned, int(s.dials.Load())))
	}
	if identity.CertFile != "" && cfg.TLS != nil {
		own := *cfg.TLS
		own.Certificates = []tls.Certificate{d.pairs[[2]string{identity.CertFile, firstOf(identity.KeyFile, identity.CertFile)}]}
		cfg.TLS = &own
	}
	begun := s.now()
	connected := begun
	cfg.Connected = func() { connected = s.now() }
	conn, err := transport.DialEndpoint(ctx, d.endpoint, cfg)
	if err != nil {
		return nil, err
	}
	shaken := s.now()
	scheme := d.endpoint.Scheme
	c := &Client{
		s: s, sh: sh, conn: conn, index: o.Index, id: packet.ClientID,
		opts:  mqtt.Options{Version: s.plan.Version, FromServer: true},
		plain: !scheme.TLS && !scheme.WebSocket, window: s.plan.Window, dialect: speaks,
		onArrive: o.OnArrive, unstamped: o.Unstamped, held: o.held, answer: make(chan answer, 1), done: make(chan struct{}),
	}
	if o.Group != nil {
		c.group = &o.Group.g
	} else if c.sub = o.account; c.sub == nil && o.Receives {
		c.sub = s.newTrackers()
	}
	if o.ReadRate > 0 {
		c.pace = &brake{rate: o.ReadRate}
	}
	if speaks != nil {
		if err := c.prepare(); err != nil {
			_ = conn.Close()
			return nil, err
		}
	}
	s.came(c)
	s.wg.Go(c.read)
	asked := s.now()
	a, err := c.askIn(ctx, packet)
	if err != nil {
		c.closing.Store(true)
		_ = conn.Close()
		<-c.done
		return nil, err
	}
	now := s.now()
	sh.mu.Lock()
	sh.n.Connects++
	late := begun - o.Due // what came before a phase is not its own doing, but that it began late is
	sh.latency.record(PhaseDial, o.Due, begun, connected)
	if scheme.TLS || scheme.WebSocket {
		sh.latency.record(PhaseTLS, connected-late, connected, shaken)
	}
	sh.latency.record(PhaseConnack, asked-late, asked, now)
	sh.mu.Unlock()
	c.SessionPresent = a.present
	if a.max > 0 {
		c.window = min(c.window, a.max)
	}
	return c, nil
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// connectPacket is what a client says first.
func (s *Session) connectPacket(o *ClientOptions) (mqtt.Connect, Identity) {
	var identity Identity
	if n := len(s.o.Identities); n > 0 {
		identity = s.o.Identities[(s.o.Part.FirstClient+o.Index)%n]
	}
	number := s.plan.StartNumber + s.o.Part.FirstClient + o.Index
	user := identity.Username
	if user == "" && s.o.Username != nil {
		user = expand(*s.o.Username, number, "", "")
	}
	id := firstOf(o.ID, identity.ClientID)
	if id == "" {
		id = expand(s.plan.ClientID, number, "", user)
	}
	p := mqtt.Connect{
		Version: s.plan.Version, CleanStart: o.CleanStart, ClientID: id, Will: o.Will,
		KeepAlive: uint16(max(o.KeepAlive, 0)), Username: user, HasUsername: user != "" || s.o.Username != nil,
		Password: s.o.Password, HasPassword: s.o.Password != nil,
	}
	if identity.Password != "" {
		p.Password, p.HasPassword = []byte(identity.Password), true
	}
	if s.plan.Version == mqtt.V5 {
		p.Properties = s.o.Properties
		if o.Expiry > 0 {
			p.Properties = p.Properties.Without(mqtt.PropSessionExpiryInterval).AppendUint32(mqtt.PropSessionExpiryInterval, o.Expiry)
		}
	}
	return p, identity
}

// Refused is an answer with a reason code that is an error.
type Refused struct {
	Type mqtt.Type
	Code mqtt.ReasonCode
	Name string
}

func (r *Refused) Error() string { return fmt.Sprintf("refused in %v: %s", r.Type, r.Name) }

// ErrNoAnswer says that a broker did not answer in time.
var ErrNoAnswer = errors.New("no answer in time")

// askIn is CONNECT, or the login of a device.
func (c *Client) askIn(ctx context.Context, p mqtt.Connect) (answer, error) {
	if c.dialect == nil {
		return c.ask(ctx, p, mqtt.TypeConnack)
	}
	c.wmu.Lock()
	c.flush()
	c.wmu.Unlock()
	if c.unanswered {
		return answer{typ: mqtt.TypeConnack}, nil
	}
	return c.hear(ctx, mqtt.TypeConnack)
}

// ask sends a packet and waits for its answer.
func (c *Client) ask(ctx context.Context, p mqtt.Packet, want mqtt.Type) (answer, error) {
	if err := c.send(p); err != nil {
		return answer{}, err
	}
	return c.hear(ctx, want)
}

func (c *Client) hear(ctx context.Context, want mqtt.Type) (answer, error) {
	select {
	case a := <-c.answer:
		return c.accept(a, want)
	case <-c.done:
		select {
		case a := <-c.answer: // and then it was closed
			return c.accept(a, want)
		default:
			return answer{}, fmt.Errorf("closed before %v: %w", want, c.err)
		}
	case <-ctx.Done():
		return answer{}, fmt.Errorf("%v: %w", want, ErrNoAnswer)
	}
}

// accept gives an error for what is no answer to the question, or a refusal.
func (c *Client) accept(a answer, want mqtt.Type) (answer, error) {
	if a.refused != nil {
		return a, &Refused{Type: want, Name: a.refused.Error()}
	}
	if a.typ != want {
		return a, fmt.Errorf("the broker answered with %v", a.typ)
	}
	if want == mqtt.TypeConnack && a.codes[0] != mqtt.Success {
		return a, &Refused{want, a.codes[0], a.codes[0].Name(want, c.opts.Version)}
	}
	return a, nil
}

// Subscribe asks for subscriptions, waits for SUBACK and records the time
// since due, 0 being now. The error is a *Refused if any filter was refused.
func (c *Client) Subscribe(ctx context.Context, due int64, filters ...mqtt.Subscription) error {
	return c.request(ctx, due, len(filters), mqtt.Subscribe{PacketID: requestID, Filters: filters}, mqtt.TypeSuback)
}

// Unsubscribe ends subscriptions, as Subscribe begins them.
func (c *Client) Unsubscribe(ctx context.Context, due int64, filters ...string) error {
	return c.request(ctx, due, len(filters), mqtt.Unsubscribe{PacketID: requestID, Filters: filters}, mqtt.TypeUnsuback)
}

// requestID is the packet identifier of requests; messages have those from 1
// to the window.
const requestID = 65535

func (c *Client) request(ctx context.Context, due int64, filters int, p mqtt.Packet, want mqtt.Type) error {
	timed, cancel := context.WithTimeout(ctx, c.s.plan.ConnectTimeout)
	defer cancel()
	sent := c.s.now()
	if due == 0 {
		due = sent
	}
	a, err := c.ask(timed, p, want)
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx) // nobody wants to know
	}
	if err == nil {
		c.sh.phase(PhaseSuback, due, sent, c.s.now())
		for _, code := range a.codes {
			if code.IsError() {
				err = &Refused{want, code, code.Name(want, c.opts.Version)}
			}
		}
	}
	c.sh.count(func(n *Counters) {
		if err == nil {
			n.Subscribes += int64(filters)
		} else {
			n.SubscribeFail += int64(filters)
		}
	})
	if err != nil {
		c.s.problem(strings.ToLower(p.Type().String()), err)
	}
	return err
}

// keepAlives sends PINGREQ where nothing else has been sent.
func (s *Session) keepAlives(ctx context.Context) {
	if s.plan.KeepAlive <= 0 {
		return
	}
	whole := time.Duration(s.plan.KeepAlive) * time.Second
	tick := time.NewTicker(max(whole/8, 100*time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		limit := s.now() - int64(whole/2)
		for _, c := range s.all() {
			if c.lastOut.Load() < limit && !c.closing.Load() {
				_ = c.alive()
			}
		}
	}
}
