package serve

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/transport"
)

// plan is a configuration that has passed every check, with all that a check
// has made: loaded password files, for instance. Making one opens no socket
// and no store.
type plan struct {
	Config
	listeners []*planned
	gateways  map[string]any
	store     Store
	settings  any // of the store
	auth      authParts
}

// planned is a listener to be.
type planned struct {
	key      string // the same after a reload for what is the same listener
	path     string // in the file
	inFile   bool
	url      string
	endpoint transport.Endpoint
	cfg      transport.ListenConfig
	ways     []string // how clients log in, for the table of open ports
	open     bool     // anonymous clients are let in
	// mustBeLocal: they are let in because only this machine can reach it.
	mustBeLocal bool
	door        bool // strangers are sent to the doorkeeper
	mute        bool // clients cannot present a name and a password
}

// urlPath is where the file has the URL.
func (pl *planned) urlPath() string {
	if pl.inFile {
		return pl.path + ".url"
	}
	return pl.path
}

// Check returns every problem of the configuration, as Problems. It reads the
// files that the configuration names, and opens no socket and no store.
func (c Config) Check() error {
	_, err := c.plan()
	return err
}

func (c Config) plan() (*plan, error) {
	p := &plan{Config: c.withDefaults(), gateways: map[string]any{}}
	ps := &problems{source: c.source}
	ps.add("", p.Builtin.check())
	p.planGateways(ps)
	p.planStore(ps)
	ps.addJoined("broker", p.Broker.Validate())
	if p.DrainTimeout < 0 {
		ps.addf("drain_timeout", "%v is negative", p.DrainTimeout)
	}
	p.planAuth(ps)
	p.planListeners(ps)
	p.planDoor(ps)
	return p, ps.err()
}

func (p *plan) planGateways(ps *problems) {
	for name := range p.Gateways {
		if !slices.ContainsFunc(p.Builtin.Gateways, func(g Gateway) bool { return g.Protocol == name }) {
			ps.addf(name, "unknown protocol")
		}
	}
	for _, g := range p.Builtin.Gateways {
		v, err := g.settings.checked(p.Gateways[g.Protocol])
		ps.addJoined(g.Protocol, err)
		p.gateways[g.Protocol] = v
	}
}

func (p *plan) planStore(ps *problems) {
	i := slices.IndexFunc(p.Builtin.Stores, func(s Store) bool { return s.Name == p.Config.Store })
	if i < 0 {
		var names []string
		for _, s := range p.Builtin.Stores {
			names = append(names, s.Name)
		}
		ps.addf("store.type", "%q is none of %s", p.Config.Store, strings.Join(names, ", "))
		return
	}
	p.store = p.Builtin.Stores[i]
	var err error
	p.settings, err = p.store.settings.checked(p.StoreSettings)
	ps.addJoined("store", err)
}

func (p *plan) planAuth(ps *problems) {
	for key := range p.Methods {
		if !slices.ContainsFunc(p.Builtin.Methods, func(m Method) bool { return m.Key == key }) {
			ps.addf("auth."+key, "unknown method")
		}
	}
	certificates, keys := p.impliesCertificates(), p.haveKeys()
	for _, m := range p.Builtin.Methods {
		c, on := p.Methods[m.Key]
		if !on && !(certificates && m.Reach == WithCertificate) && !(keys && m.Reach == WithPSK) {
			continue
		}
		path := "auth." + m.Key
		v, err := m.settings.checked(c)
		if err != nil {
			ps.addJoined(path, err)
			continue
		}
		checks, err := m.build(p.Logger, v)
		ps.addJoined(path, err)
		p.auth.add(m, checks)
	}
	ps.add("auth", p.auth.enhanced.Validate())
}

// impliesCertificates reports whether certificates tell who clients are
// although the configuration does not say so: a listener asks for them, and
// there is nothing else to tell by. Beside passwords they only do so when it
// is written down, because whoever demands both wants both.
func (p *plan) impliesCertificates() bool {
	for _, m := range p.Builtin.Methods {
		if _, on := p.Methods[m.Key]; on && m.Reach == Everywhere {
			return false
		}
	}
	return slices.ContainsFunc(p.Listeners, func(l Listener) bool { return asksCertificates(l.ListenConfig) })
}

// haveKeys reports whether a listener has pre-shared keys. They always tell who
// a client is.
func (p *plan) haveKeys() bool {
	return slices.ContainsFunc(p.Listeners, func(l Listener) bool { return hasKeys(l.ListenConfig) })
}

func (p *plan) planListeners(ps *problems) {
	schemes := p.Builtin.Schemes()
	keys, names := map[string]int{}, map[string]string{}
	for _, l := range p.Listeners {
		path := l.path
		if path == "" {
			path = l.URL
		}
		pl := &planned{path: path, inFile: l.path != "", url: l.URL, cfg: l.ListenConfig}
		pl.cfg.Schemes = schemes
		if pl.cfg.Logger == nil {
			pl.cfg.Logger = p.Logger
		}
		var err error
		if pl.endpoint, err = transport.Parse(l.URL, schemes); err != nil {
			ps.add(pl.urlPath(), err)
			continue
		}
		pl.key = l.Name
		if pl.key == "" {
			pl.key = pl.endpoint.String()
			if n := keys[pl.key]; n > 0 && pl.endpoint.Port != 0 {
				ps.addf(path, "%s is listed twice", pl.key)
			}
		} else if other, taken := names[l.Name]; taken {
			ps.addf(join(path, "name"), "%q is the name of %s, too", l.Name, other)
		}
		names[l.Name] = path
		keys[pl.key]++
		if n := keys[pl.key]; n > 1 {
			pl.key = fmt.Sprintf("%s#%d", pl.key, n)
		}
		ps.addJoined(path, checkListener(pl))
		p.askGateway(pl, ps)
		p.expose(pl, ps)
		p.listeners = append(p.listeners, pl)
	}
	if len(p.Listeners) == 0 {
		ps.addf("listeners", "there are none")
	}
}

// askGateway lets the gateway of pl say what is wrong with its URL, and how its
// clients are.
func (p *plan) askGateway(pl *planned, ps *problems) {
	for _, g := range p.Builtin.Gateways {
		if c := p.gateways[g.Protocol]; g.Protocol == pl.endpoint.Scheme.Protocol && c != nil {
			ps.add(pl.urlPath(), g.settings.listener(c, pl.endpoint))
			pl.mute = !g.settings.passwords(c, pl.endpoint)
		}
	}
}

// checkListener tries the options out on a listener without a socket.
func checkListener(pl *planned) error {
	if err := pl.cfg.Validate(); err != nil {
		return errors.Join(err, pl.cfg.TLS.Check())
	}
	if !pl.endpoint.Scheme.TLS && pl.cfg.TLS != nil {
		return fmt.Errorf("tls: %s:// has no TLS", pl.endpoint.Scheme.Name)
	}
	_, err := transport.NewListener(nowhere{}, pl.url, pl.cfg)
	if inner := errors.Unwrap(err); inner != nil {
		return inner // without "listen on …": the path says it
	}
	return err
}

// nowhere is a listener that nobody can connect to.
type nowhere struct{}

func (nowhere) Accept() (net.Conn, error) { return nil, net.ErrClosed }
func (nowhere) Close() error              { return nil }
func (nowhere) Addr() net.Addr            { return &net.IPAddr{} }

// expose decides who may come in by pl. A listener that others can reach needs
// a way to log in, or permission in as many words.
func (p *plan) expose(pl *planned, ps *problems) {
	pl.door = p.auth.attends(pl.cfg.Name)
	pl.ways = p.auth.ways(pl.cfg, pl.mute)
	if pl.door {
		pl.ways = append(pl.ways, p.auth.door.word)
	}
	identified := len(pl.ways) > 0
	if len(p.auth.certificate) == 0 && pl.cfg.TLS != nil && pl.cfg.TLS.ClientAuth == transport.ClientCertRequire {
		for i, way := range pl.ways { // nobody else gets as far without a certificate
			if !slices.Contains(p.auth.psk, way) {
				pl.ways[i] = "certificate + " + way
			}
		}
	}
	lockedOut := !identified && pl.mute && len(p.auth.everywhere) > 0
	pl.mustBeLocal = p.AllowAnonymous == nil && !identified && !lockedOut && isLocal(pl.endpoint)
	pl.open = pl.mustBeLocal
	if p.AllowAnonymous != nil {
		pl.open = *p.AllowAnonymous && !pl.door
	}
	if pl.open {
		pl.ways = append(pl.ways, "anonymous")
	}
	switch {
	case pl.open || identified:
	case p.AllowAnonymous != nil || lockedOut:
		ps.add(pl.path, &NobodyError{URL: pl.url, Protocol: pl.endpoint.Scheme.Protocol, Mute: pl.mute})
	default:
		ps.add(pl.path, &ExposedError{URL: pl.url, Protocol: pl.endpoint.Scheme.Protocol, Mute: pl.mute})
	}
}

// asksCertificates reports whether l finds out who clients are by certificates.
func asksCertificates(l transport.ListenConfig) bool {
	return l.TLS != nil && (l.TLS.ClientAuth == transport.ClientCertRequest || l.TLS.ClientAuth == transport.ClientCertRequire)
}

// hasKeys reports whether l has a file of pre-shared keys.
func hasKeys(l transport.ListenConfig) bool { return l.TLS != nil && l.TLS.PSKFile != "" }

// ExposedError refuses a listener that other machines can reach and that has
// no way to log in.
type ExposedError struct {
	URL      string
	Protocol string // Scheme.Protocol
	Mute     bool   // clients have no name and password to log in with
}

// Error implements error.
func (e *ExposedError) Error() string {
	return "other machines can reach this listener, and nobody would have to log in"
}

// NobodyError refuses a listener on which anonymous clients are forbidden and
// no others can log in.
type NobodyError struct {
	URL      string
	Protocol string // Scheme.Protocol
	Mute     bool   // clients have no name and password to log in with
}

// Error implements error.
func (e *NobodyError) Error() string {
	if e.Mute {
		return "nobody could log in: clients of " + e.Protocol + " have no name and password, and nothing else tells who they are"
	}
	return "nobody could log in: anonymous clients are not allowed, and no password file, client certificates, pre-shared keys or approval are set up"
}

// isLocal reports whether only this machine can reach e. Names other than
// localhost may resolve to anything.
func isLocal(e transport.Endpoint) bool {
	if e.Scheme.Network == "unix" || strings.EqualFold(e.Host, "localhost") {
		return true
	}
	ip := net.ParseIP(e.Host)
	return ip != nil && ip.IsLoopback()
}

// isLocalAddress is isLocal for a socket that is open.
func isLocalAddress(a net.Addr) bool {
	switch a := a.(type) {
	case *net.TCPAddr:
		return a.IP.IsLoopback()
	case *net.UDPAddr:
		return a.IP.IsLoopback()
	case *net.UnixAddr:
		return true
	}
	return false
}

// authParts is what the methods of a plan contribute.
type authParts struct {
	chain       auth.Chain
	enhanced    auth.EnhancedMethods
	authorizers auth.Authorizers
	everywhere  []string // words of methods
	certificate []string
	psk         []string
	door        door
}

// door is who decides about strangers, and where.
type door struct {
	keeper    auth.Doorkeeper // nil: nobody
	key, word string
	listeners []string // by name; nil: all
}

// attends reports whether strangers may ask to be let in by a listener.
func (a *authParts) attends(listener string) bool {
	return a.door.keeper != nil && (a.door.listeners == nil || slices.Contains(a.door.listeners, listener))
}

// planDoor looks for the listeners that a doorkeeper is meant for.
func (p *plan) planDoor(ps *problems) {
	for i, name := range p.auth.door.listeners {
		if !slices.ContainsFunc(p.Listeners, func(l Listener) bool { return l.Name == name }) {
			ps.addf(fmt.Sprintf("auth.%s.listeners[%d]", p.auth.door.key, i), "no listener has the name %q: one is given with listeners: [{name: %s}]", name, name)
		}
	}
}

func (a *authParts) add(m Method, c Checks) {
	if c.Authenticator != nil {
		a.chain = append(a.chain, c.Authenticator)
	}
	a.enhanced = append(a.enhanced, c.Enhanced...)
	if c.Authorizer != nil {
		a.authorizers = append(a.authorizers, c.Authorizer)
	}
	if c.Doorkeeper != nil && a.door.keeper == nil {
		a.door = door{c.Doorkeeper, m.Key, m.Word, c.Listeners}
	}
	switch m.Reach {
	case Everywhere:
		a.everywhere = append(a.everywhere, m.Word)
	case WithCertificate:
		a.certificate = append(a.certificate, m.Word)
	case WithPSK:
		a.psk = append(a.psk, m.Word)
	}
}

// ways lists how clients can log in at l; mute ones have no name and password.
func (a *authParts) ways(l transport.ListenConfig, mute bool) []string {
	var all []string
	if asksCertificates(l) {
		all = append(all, a.certificate...)
	}
	if hasKeys(l) {
		if all = append(all, a.psk...); l.TLS.CertFile == "" && len(l.TLS.Certificates) == 0 {
			return all // everybody has one
		}
	}
	if mute {
		return all
	}
	return append(all, a.everywhere...)
}
